"""Uploads whose events never came: the sweep finds them in the bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from anaplan_autoload.domain.events import Uploads, parse
from anaplan_autoload.steps import reconciling
from tests.autoload import BUCKET
from tests.integration.test_main_path import ACCOUNTS, KEY, each, latest

if TYPE_CHECKING:
    from tests.autoload import Autoload

HOUR = 3600
TWO = """
[[route]]
name = "accounts"
prefix = "incoming/"
integration = "{accounts}"

[[route]]
name = "sales"
prefix = "sales/"
integration = "{sales}"
"""


def sweep(autoload: Autoload, *others: str, after: float = 0) -> None:
    """Let the sweep look for lost uploads, and what it sends happen."""
    autoload.pass_time(after)
    buckets = ",".join(f"arn:aws:s3:::{name}" for name in (BUCKET, *others))
    autoload.invoke({"sweep": True, "reconcile": {"every": "1h", "buckets": f"{buckets},"}})
    autoload.drain()


@pytest.fixture(params=["with versions", "without versions"])
def bucket(request: pytest.FixtureRequest, autoload: Autoload) -> None:
    """The inbox, which keeps versions or does not."""
    if request.param == "without versions":
        autoload.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


def states(autoload: Autoload) -> list[str]:
    """Those of all uploads that the ledger knows, in order."""
    items = [item for item in autoload.dump_table() if item["sk"]["S"].startswith("upload#")]
    return [item["state"]["S"] for item in sorted(items, key=lambda item: item["recorded_at"]["N"])]


@pytest.mark.usefixtures("bucket")
def test_an_upload_whose_event_never_came_is_loaded_once_even_if_the_event_comes_after_all(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    latest(autoload)
    sweep(autoload)
    event = autoload.upload(KEY, ACCOUNTS)

    sweep(autoload, after=HOUR)
    autoload.invoke(event)
    sweep(autoload, after=HOUR)

    [message] = autoload.messages()
    assert (message["outcome"], [upload["key"] for upload in message["uploads"]]) == ("loaded", [KEY])
    assert (autoload.runs_asked_for(), states(autoload)) == (1, ["loaded"])
    assert "Found an upload whose event never came; it is loaded now" in caplog.messages
    [metric] = autoload.metrics(capsys.readouterr().out, "UploadsReconciled")
    assert (metric["UploadsReconciled"], metric["route"]) == ([1.0], "accounts")


@pytest.mark.usefixtures("bucket")
def test_what_was_loaded_or_asked_for_by_hand_is_not_loaded_again_unless_it_is_uploaded_again(
    autoload: Autoload,
) -> None:
    latest(autoload)
    sweep(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    for _ in range(2):
        sweep(autoload, after=HOUR)
    known = autoload.runs_asked_for()
    autoload.upload(KEY, f"{ACCOUNTS}A3,Rent\n")
    autoload.invoke({"load": {"bucket": BUCKET, "key": KEY, "request_id": "by-hand"}})
    sweep(autoload, after=HOUR)
    asked = autoload.runs_asked_for()
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert (known, asked, autoload.runs_asked_for()) == (1, 2, 3)


def test_an_event_has_a_quarter_of_an_hour_to_come(autoload: Autoload) -> None:
    latest(autoload)
    sweep(autoload)
    autoload.pass_time(HOUR - 60)
    start = autoload.now()
    event = autoload.upload(KEY, ACCOUNTS)
    autoload.services_now().s3.meta.events.register("after-call.s3.ListObjectVersions", _at(start))

    sweep(autoload, after=10 * 60)
    before = autoload.runs_asked_for()
    autoload.invoke(event)
    sweep(autoload, after=HOUR)

    assert (before, autoload.runs_asked_for()) == (0, 1)


def _at(ms: int) -> Any:
    """Let S3 say that everything was uploaded then: moto's clock is not the test's."""

    def change(parsed: dict[str, Any], **_: object) -> None:
        for version in parsed.get("Versions", []):
            version["LastModified"] = type(version["LastModified"]).fromtimestamp(
                ms / 1000, version["LastModified"].tzinfo
            )

    return change


def test_what_lay_there_before_is_left_alone(autoload: Autoload) -> None:
    """Neither the day on which this is switched on nor a new route loads a bucket's whole history."""
    latest(autoload)
    autoload.upload(KEY, ACCOUNTS)
    autoload.upload("sales/a.csv", ACCOUNTS)
    autoload.pass_time(HOUR)
    sweep(autoload)
    autoload.routes(TWO, sales="sales/a.csv")
    autoload.pass_time(60)

    for _ in range(2):
        sweep(autoload, after=HOUR)

    assert autoload.runs_asked_for() == 0


def test_a_round_goes_on_where_the_last_sweep_stopped(autoload: Autoload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "PAGES_PER_SWEEP", 1)
    autoload.routes(TWO, accounts=KEY, sales="sales/a.csv")
    autoload.services_now().s3.meta.events.register("before-parameter-build.s3.ListObjectVersions", _small_pages)
    for _ in range(2):
        sweep(autoload)
    for number in range(3):
        autoload.upload(f"incoming/{number}.csv", ACCOUNTS)
        autoload.upload("sales/a.csv", f"{ACCOUNTS}A{number},Rent\n")
    autoload.pass_time(HOUR)

    found = []
    for _ in range(5):
        sweep(autoload, after=300)
        found.append(len(states(autoload)))

    assert found == [2, 3, 4, 4, 4], "of sales/a.csv only the newest version counts"
    assert autoload.services_now().rounds.get().at is None


def _small_pages(params: dict[str, Any], **_: object) -> None:
    params["MaxKeys"] = 2


def test_every_lost_version_is_loaded_where_each_counts_but_never_older_data_over_newer(autoload: Autoload) -> None:
    each(autoload)
    sweep(autoload)
    for number in range(2):
        autoload.upload("incoming/a.csv", f"Code,Name\nA{number},Cash\n")
    autoload.upload("incoming/b.csv", ACCOUNTS)

    sweep(autoload, after=HOUR)

    told = [(upload["key"], message["outcome"]) for message in autoload.messages() for upload in message["uploads"]]
    assert sorted(told) == [("incoming/a.csv", "loaded"), ("incoming/b.csv", "loaded")]
    assert sorted(states(autoload)) == ["loaded", "loaded", "superseded"]
    assert "A1" in autoload.simulator.models[autoload.models["accounts"]]


def test_a_bucket_that_may_not_be_listed_does_not_stop_the_others(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    latest(autoload)
    sweep(autoload)
    autoload.upload(KEY, ACCOUNTS)
    services = autoload.services_now()
    services.s3.meta.events.register("before-parameter-build.s3.ListObjectVersions", _refuse("a-foreign-bucket"))

    sweep(autoload, "a-foreign-bucket", after=HOUR)

    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]
    [refusal] = [record for record in caplog.records if record.message == "Lost uploads cannot be looked for"]
    assert vars(refusal)["reason"] == (
        "s3://a-foreign-bucket/incoming/ could not be listed: Access Denied (AccessDenied)"
    )
    assert len(autoload.metrics(capsys.readouterr().out, "ListingsRefused")) == 1
    known = services.rounds.get()
    assert (known.at, known.covered < known.started, known.trouble_at >= known.started) == (None, True, True)


def _refuse(bucket: str) -> Any:
    def refuse(params: dict[str, Any], **_: object) -> None:
        if params["Bucket"] == bucket:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "ListObjectVersions")

    return refuse


def test_a_sweep_without_the_parameter_lists_nothing(autoload: Autoload) -> None:
    latest(autoload)
    autoload.upload(KEY, ACCOUNTS)

    autoload.invoke({"sweep": True})
    autoload.pass_time(HOUR)
    autoload.invoke({"sweep": True})

    assert autoload.services_now().rounds.get().number == 0


def test_an_upload_is_recorded_as_its_event_would_have_it_and_of_two_sweeps_at_once_one_goes_on(
    autoload: Autoload,
) -> None:
    latest(autoload)
    sweep(autoload)
    parsed = parse(autoload.upload(KEY, ACCOUNTS))
    assert isinstance(parsed, Uploads)
    [told] = parsed.uploads

    sweep(autoload, after=HOUR)

    found = autoload.ledger.upload(autoload.lane(), told.id)
    assert found is not None
    assert (found.upload.version_id, found.upload.etag, found.upload.size) == (told.version_id, told.etag, told.size)
    rounds = autoload.services_now().rounds
    known = rounds.get()
    assert rounds.put(known, known)
    assert not rounds.put(known, known)
