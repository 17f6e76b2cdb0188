"""An upload that no run reads is rejected: it is never reported as loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.cloudworks import Fault
from tests.autoload import BUCKET
from tests.integration.test_flows import a_flow
from tests.integration.test_main_path import ACCOUNTS, EACH, KEY, LATEST, latest

if TYPE_CHECKING:
    from tests.autoload import Autoload

OTHER = "incoming/Accounts_2026-11-24.csv"
ASKED = r"/integrations/[0-9a-f]{32}$"
DAY = 24 * 3600


def asked(autoload: Autoload) -> int:
    """How often CloudWorks was asked what an integration reads."""
    return sum(
        seen.method == "GET" and seen.path.rpartition("/")[0].endswith("/integrations")
        for seen in autoload.simulator.requests
    )


@pytest.mark.parametrize(
    "key", [OTHER, "incoming/Accounts (1).csv", "incoming/sub/Accounts.csv", "incoming/accounts.csv"]
)
def test_an_upload_that_nobody_reads_is_rejected_at_once(
    autoload: Autoload, key: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    latest(autoload, 'settle = "15m"')
    began = autoload.now()

    result = autoload.invoke(autoload.upload(key, ACCOUNTS))

    assert result["uploads"] == [{"bucket": BUCKET, "key": key, "state": "rejected", "run_id": None}]
    assert autoload.runs_asked_for() == 0 and autoload.now() - began < 60_000
    [message] = autoload.messages()
    assert message["outcome"] == "rejected" and message["id"].startswith("batch-") and message["run_id"] is None
    assert f'"{KEY}"' in message["message"] and 'load = "each"' in message["message"]
    [record] = autoload.ledger.runs(autoload.lane())
    assert (record.id, record.outcome, record.announced) == (message["id"], "rejected", True)
    printed = capsys.readouterr().out
    [metric] = autoload.metrics(printed, "UploadsRejected")
    assert (metric["UploadsRejected"], metric["route"]) == ([1.0], "accounts")
    assert "UploadsCovered" not in printed and "RunsFailed" not in printed
    assert any(line.startswith("Rejected: accounts: no run reads this file (") for line in caplog.messages)


def test_what_nobody_reads_is_split_off_and_the_rest_is_loaded(autoload: Autoload) -> None:
    latest(autoload)
    autoload.ledger.pause(autoload.lane())
    for key in (OTHER, KEY, "incoming/x.csv", KEY):
        autoload.invoke(autoload.upload(key, ACCOUNTS))
    autoload.ledger.resume(autoload.lane())

    autoload.invoke({"drain": autoload.lane()})

    rejected, loaded = autoload.messages()
    assert (rejected["outcome"], rejected["uploads_total"]) == ("rejected", 2)
    assert {each["key"] for each in rejected["uploads"]} == {OTHER, "incoming/x.csv"}
    assert (loaded["outcome"], loaded["uploads_total"]) == ("loaded", 2)
    assert autoload.runs_asked_for() == 1


def test_a_copy_that_nobody_reads_is_not_made(autoload: Autoload) -> None:
    autoload.routes(EACH, accounts="source/Ledgers.csv")

    result = autoload.invoke(autoload.upload(OTHER, ACCOUNTS))

    assert result["uploads"][0]["state"] == "rejected"
    [message] = autoload.messages()
    assert 'stage_to = "source/Ledgers.csv"' in message["message"]
    keys = [each["Key"] for each in autoload.s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert keys == [OTHER] and autoload.runs_asked_for() == 0


def test_a_flow_reads_what_its_steps_read(autoload: Autoload) -> None:
    a_flow(autoload)

    states = [autoload.invoke(autoload.upload(key, ACCOUNTS))["uploads"][0]["state"] for key in (KEY, OTHER)]

    assert states == ["loaded", "rejected"]


def test_a_fixed_set_of_files_is_loaded(autoload: Autoload) -> None:
    latest(autoload)
    autoload.let_read("accounts", KEY, OTHER)
    autoload.upload(KEY, ACCOUNTS)

    result = autoload.invoke(autoload.upload(OTHER, ACCOUNTS))

    assert result["uploads"][0]["state"] == "loaded"


def test_a_marker_runs_its_flow_although_nobody_reads_it(autoload: Autoload) -> None:
    latest(autoload, 'suffix = "_SUCCESS"\nallow_empty = true\n')
    autoload.upload(KEY, ACCOUNTS)

    result = autoload.invoke(autoload.upload("incoming/_SUCCESS", ""))

    assert result["uploads"][0]["state"] == "loaded"
    assert "A1" in autoload.simulator.models[autoload.models["accounts"]]


def test_cloudworks_is_asked_once_a_day(autoload: Autoload) -> None:
    latest(autoload)
    for _ in range(3):
        autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    assert asked(autoload) == 1

    autoload.pass_time(DAY)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert asked(autoload) == 2


def test_cloudworks_is_asked_again_after_the_route_changed(autoload: Autoload) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    latest(autoload, "retries = 0")
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert asked(autoload) == 2


def test_a_changed_integration_takes_effect_at_once(autoload: Autoload) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.let_read("accounts", OTHER)

    result = autoload.invoke(autoload.upload(OTHER, ACCOUNTS))

    assert result["uploads"][0]["state"] == "loaded"


def test_a_rejected_file_can_be_retried_once_the_integration_reads_it(autoload: Autoload) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(OTHER, ACCOUNTS))
    autoload.let_read("accounts", OTHER)

    result = autoload.invoke({"load": {"bucket": BUCKET, "key": OTHER, "request_id": "again"}})

    assert result["uploads"][0]["state"] == "loaded"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", status=500, method="GET", path=ASKED, count=None),
        Fault(kind="status", status=403, method="GET", path=ASKED, count=None),
        Fault(kind="status", status=404, method="GET", path=ASKED, count=None),
        Fault(kind="status", status=200, body="[]", content_type="application/json", path=ASKED, count=None),
        Fault(kind="status", status=200, path=ASKED, count=None),
        Fault(
            kind="status",
            status=200,
            body='{"integration": {"integrationId": "x", "jobs": null}}',
            content_type="application/json",
            path=ASKED,
            count=None,
        ),
    ],
)
def test_where_cloudworks_does_not_tell_an_upload_is_loaded_unchecked(autoload: Autoload, fault: Fault) -> None:
    latest(autoload)
    autoload.upload(KEY, ACCOUNTS)
    autoload.simulator.add_fault(fault)

    result = autoload.invoke(autoload.upload(OTHER, ACCOUNTS))

    assert result["uploads"][0]["state"] == "loaded"


def test_an_empty_file_is_refused_without_a_log_in(autoload: Autoload) -> None:
    latest(autoload)

    autoload.invoke(autoload.upload(OTHER, ""))

    assert autoload.simulator.requests == []


def test_a_log_in_that_is_refused_holds_the_lane_with_one_message(autoload: Autoload) -> None:
    latest(autoload)
    autoload.secrets.put_secret_value(SecretId="anaplan", SecretString='{"username": "ada", "password": "wrong"}')

    assert autoload.invoke(autoload.upload(OTHER, ACCOUNTS))["state"] == "held"

    [message] = autoload.messages()
    assert message["outcome"] == "held" and "refused the log-in" in message["message"]
    assert autoload.ledger.lane(autoload.lane()).open is None


def test_routes_that_share_a_lane_are_each_asked_for_once(autoload: Autoload) -> None:
    regions = LATEST.replace("incoming/", "regions/").replace("accounts", "regions") + 'lane = "model"\n'
    autoload.routes(LATEST + 'lane = "model"\n' + regions, accounts=KEY, regions="regions/Regions.csv")

    for _ in range(2):
        autoload.invoke(autoload.upload(KEY, ACCOUNTS))
        autoload.invoke(autoload.upload("regions/Regions.csv", ACCOUNTS))

    assert asked(autoload) == 2
    assert set(autoload.ledger.lane("model").reads) == {"accounts", "regions"}
