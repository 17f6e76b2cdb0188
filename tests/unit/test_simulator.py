"""The CloudWorks simulator, asked over real sockets, on a clock that the test turns."""

from __future__ import annotations

import base64
import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Event
from types import NoneType
from typing import Any

import boto3
import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from moto import mock_aws
from msgspec.structs import replace

from local.cloudworks import (
    PASSWORD,
    USERNAME,
    WORKSPACE_ID,
    Fault,
    MemoryBuckets,
    Pace,
    Result,
    S3Buckets,
    Settings,
    Simulator,
    StoredObject,
    Variants,
    seed,
    serve,
)
from local.cloudworks.seeding import ACCESS_KEY_ID, SECRET_ACCESS_KEY

NOON = 1_795_521_600.0
"""2026-11-24T12:00:00Z."""
FILE = "incoming/accounts.csv"
GOOD = b"Code,Name\nA,Alpha\nB,Beta\n"
MIXED = b"Code,Name\nA,Alpha\n,Nameless\nA,Again\nB,Beta\n"
MODEL = "E559BFF3B16D4AE8874F745BE1259711"


class Clock:
    """Epoch seconds that only the test moves."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> float:
        return self.time


class Anaplan:
    """A simulator with one import, and a client that is logged in."""

    def __init__(self, simulator: Simulator, buckets: MemoryBuckets, clock: Clock, url: str) -> None:
        self.simulator = simulator
        self.buckets = buckets
        self.clock = clock
        self.url = url
        self.seeded = seed(simulator, "inbox", [("Accounts", FILE)])
        self.id = self.seeded.integration_ids["Accounts"]
        self.http = urllib3.PoolManager(retries=False, timeout=5)
        self.token = self.log_in().json()["tokenInfo"]["tokenValue"]

    def send(self, method: str, path: str, body: object = None, **headers: str) -> urllib3.BaseHTTPResponse:
        """Any request; a body is sent as JSON."""
        data = None if body is None else json.dumps(body)
        return self.http.request(method, self.url + path, body=data, headers=headers)

    def ask(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        """A request to CloudWorks; returns the JSON of the answer, which must have this status."""
        answer = self.send(method, f"/2/0{path}", body, Authorization=f"AnaplanAuthToken {self.token}")
        assert answer.status == status, answer.data
        return answer.json()

    def refused(self, method: str, path: str, status: int, body: object = None) -> str:
        """The message of a refusal."""
        return str(self.ask(method, path, body, status)["status"]["message"])

    def log_in(self, user: str = USERNAME, password: str = PASSWORD) -> urllib3.BaseHTTPResponse:
        """A log-in with a password."""
        return self.send("POST", "/token/authenticate", Authorization=f"Basic {packed(f'{user}:{password}'.encode())}")

    def upload(self, content: bytes, key: str = FILE) -> None:
        """Put a file where the import looks for it."""
        self.buckets.write("inbox", key, content)

    def run(self, integration_id: str | None = None) -> str:
        """Start a run; returns its id."""
        return str(self.ask("POST", f"/integrations/{integration_id or self.id}/run")["run"]["id"])

    def status(self, run_id: str) -> dict[str, Any]:
        """What CloudWorks says of a run."""
        found: dict[str, Any] = self.ask("GET", f"/integrations/run/{run_id}")["run"]
        return found

    def ended(self, content: bytes | None) -> dict[str, Any]:
        """A run of a file, if any, to its end; returns its status."""
        if content is not None:
            self.upload(content)
        run_id = self.run()
        self.clock.time += 60
        return self.status(run_id)

    def history(self, query: str = "?offset=0&limit=25") -> dict[str, Any]:
        """An integration's runs."""
        found: dict[str, Any] = self.ask("GET", f"/integrations/runs/{self.id}{query}")["history_of_runs"]
        return found

    @property
    def rows(self) -> dict[str, dict[str, str]]:
        """What is in the model."""
        return self.simulator.models.get(self.seeded.model_ids["Accounts"], {})


@contextmanager
def serving(settings: Settings) -> Iterator[Anaplan]:
    """A simulator on a socket, with a clock to be turned."""
    buckets, clock = MemoryBuckets(), Clock()
    simulator = Simulator(buckets, clock=clock, settings=settings)
    with serve(simulator) as address:
        anaplan = Anaplan(simulator, buckets, clock, address.auth_url)
        try:
            yield anaplan
        finally:
            anaplan.http.clear()


@pytest.fixture
def anaplan() -> Iterator[Anaplan]:
    """Runs take ten seconds and start at once."""
    with serving(Settings(pace=Pace(run_seconds=10))) as made:
        yield made


def packed(content: bytes) -> str:
    """Base64."""
    return base64.b64encode(content).decode()


# Logging in


def test_a_log_in_is_answered_with_201_and_a_token_that_lives_35_minutes(anaplan: Anaplan) -> None:
    answer = anaplan.log_in()
    assert answer.status == 201
    assert answer.json()["status"] == "SUCCESS"
    assert answer.json()["tokenInfo"]["expiresAt"] == (NOON + 2100) * 1000


def test_a_wrong_password_is_refused_with_401(anaplan: Anaplan) -> None:
    answer = anaplan.log_in(password="wrong")
    assert (answer.status, answer.json()["status"]) == (401, "FAILURE_BAD_CREDENTIAL")


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Digest abc", "Bearer abc"])
def test_a_malformed_header_is_refused_with_400(anaplan: Anaplan, header: str) -> None:
    answer = anaplan.send("POST", "/token/authenticate", Authorization=header)
    assert (answer.status, answer.json()["status"]) == (400, "FAILURE_BAD_HEADER")


def test_five_failed_log_ins_in_a_row_lock_the_user(anaplan: Anaplan) -> None:
    for _ in range(5):
        anaplan.log_in(password="wrong")
    assert anaplan.log_in().status == 401
    assert list(anaplan.simulator.lockouts) == [USERNAME]


def test_a_good_log_in_starts_the_count_of_failures_again(anaplan: Anaplan) -> None:
    for password in ["wrong"] * 4 + [PASSWORD] + ["wrong"] * 4:
        anaplan.log_in(password=password)
    assert anaplan.log_in().status == 201


def test_a_refreshed_token_keeps_its_value_and_lives_longer(anaplan: Anaplan) -> None:
    anaplan.clock.time += 2000
    answer = anaplan.send("POST", "/token/refresh", Authorization=f"AnaplanAuthToken {anaplan.token}")
    assert answer.status == 200
    assert answer.json()["tokenInfo"]["tokenValue"] == anaplan.token
    anaplan.clock.time += 2000
    anaplan.ask("GET", "/integrations")


def test_a_token_can_be_validated_until_it_is_logged_out(anaplan: Anaplan) -> None:
    header = f"AnaplanAuthToken {anaplan.token}"
    assert anaplan.send("GET", "/token/validate", Authorization=header).json()["userInfo"]["userId"] == USERNAME
    assert anaplan.send("POST", "/token/logout", Authorization=header).status == 204
    assert anaplan.send("GET", "/token/validate", Authorization=header).status == 401
    anaplan.ask("GET", "/integrations", status=403)


def test_cloudworks_takes_bearer_tokens_and_the_authentication_service_does_not(anaplan: Anaplan) -> None:
    bearer = f"Bearer {anaplan.token}"
    assert anaplan.send("GET", "/2/0/integrations", Authorization=bearer).status == 200
    assert anaplan.send("GET", "/token/validate", Authorization=bearer).status == 400
    assert anaplan.send("POST", "/token/logout", Authorization=bearer).status == 401


def test_an_expired_token_is_answered_with_403_and_not_401(anaplan: Anaplan) -> None:
    anaplan.clock.time += 2101
    assert anaplan.refused("GET", "/integrations", 403) == "Not Authorized"


# Logging in with a certificate


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    """A private key."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def certificate(key: RSAPrivateKey) -> bytes:
    """A certificate for it, in PEM."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "autoload")])
    now = datetime.fromtimestamp(NOON, UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def with_certificate(anaplan: Anaplan, certificate: bytes) -> Anaplan:
    """The user may log in with the certificate."""
    user = anaplan.simulator.tenant.users[USERNAME]
    anaplan.simulator.add_user(replace(user, certificate=certificate.decode()))
    return anaplan


def signed(key: RSAPrivateKey, data: bytes) -> dict[str, str]:
    """The body of a log-in."""
    signature = key.sign(data, PKCS1v15(), SHA512())
    return {"encodedData": packed(data), "encodedSignedData": packed(signature), "encodedDataFormat": "v2"}


def version_2(at: float, filler: bytes = b"r") -> bytes:
    """100 bytes: the time, and what ought to be random."""
    return struct.pack(">Q", int(at)) + filler * 92


def present(anaplan: Anaplan, certificate: bytes, body: object) -> int:
    """Log in with a certificate; returns the status."""
    header = f"CACertificate {packed(certificate)}"
    return anaplan.send("POST", "/token/authenticate", body, Authorization=header).status


def test_a_certificate_logs_in_with_signed_time_and_random_bytes(
    with_certificate: Anaplan, key: RSAPrivateKey, certificate: bytes
) -> None:
    assert present(with_certificate, certificate, signed(key, version_2(NOON))) == 201


def test_the_same_signed_bytes_do_not_log_in_twice(
    with_certificate: Anaplan, key: RSAPrivateKey, certificate: bytes
) -> None:
    body = signed(key, version_2(NOON))
    assert [present(with_certificate, certificate, body) for _ in range(2)] == [201, 401]


@pytest.mark.parametrize(
    "data",
    [version_2(NOON - 601), version_2(NOON + 601), version_2(NOON)[:99], b"r" * 100],
    ids=["too old", "too new", "too short", "version 1"],
)
def test_signed_bytes_of_another_form_or_time_are_refused(
    with_certificate: Anaplan, key: RSAPrivateKey, certificate: bytes, data: bytes
) -> None:
    assert present(with_certificate, certificate, signed(key, data)) == 401


def test_a_signature_over_other_bytes_is_refused(
    with_certificate: Anaplan, key: RSAPrivateKey, certificate: bytes
) -> None:
    body = signed(key, version_2(NOON)) | {"encodedData": packed(version_2(NOON, b"x"))}
    assert present(with_certificate, certificate, body) == 401


def test_a_certificate_of_nobody_is_refused(anaplan: Anaplan, key: RSAPrivateKey, certificate: bytes) -> None:
    assert present(anaplan, certificate, signed(key, version_2(NOON))) == 401


def test_an_expired_certificate_is_refused(with_certificate: Anaplan, key: RSAPrivateKey, certificate: bytes) -> None:
    with_certificate.clock.time += 2 * 24 * 3600
    now = with_certificate.clock.time
    assert present(with_certificate, certificate, signed(key, version_2(now))) == 401


# Running


def test_a_run_loads_the_file_into_the_model(anaplan: Anaplan) -> None:
    run = anaplan.ended(GOOD)
    assert (run["success"], run["message"], run["executionErrorCode"]) == (True, "Success", None)
    assert anaplan.rows == {"A": {"Code": "A", "Name": "Alpha"}, "B": {"Code": "B", "Name": "Beta"}}


def test_a_later_run_replaces_rows_of_the_same_code_and_keeps_the_others(anaplan: Anaplan) -> None:
    anaplan.ended(GOOD)
    anaplan.ended(b"Code,Name\nB,Changed\n")
    assert [row["Name"] for row in anaplan.rows.values()] == ["Alpha", "Changed"]


def test_a_run_reads_what_the_file_held_when_it_started(anaplan: Anaplan) -> None:
    anaplan.upload(GOOD)
    anaplan.run()
    anaplan.upload(b"Code,Name\nC,Later\n")
    anaplan.clock.time += 60
    assert list(anaplan.rows) == ["A", "B"]
    assert [run.source_version for run in anaplan.simulator.runs] == ["v1"]


def test_a_queued_run_reads_the_file_when_it_starts_and_not_when_it_is_accepted(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.pace = Pace(queue_seconds=30, run_seconds=10)
    anaplan.upload(GOOD)
    anaplan.run()
    anaplan.upload(b"Code,Name\nC,Later\n")
    anaplan.clock.time = anaplan.simulator.next_change() or 0
    anaplan.simulator.tick()
    anaplan.upload(b"Code,Name\nD,Too late\n")
    anaplan.clock.time += 60
    assert list(anaplan.rows) == ["C"]


class WatchedBuckets(MemoryBuckets):
    """Buckets that tell when something was read."""

    def __init__(self) -> None:
        super().__init__()
        self.was_read = Event()

    def read(self, bucket: str, key: str) -> StoredObject | None:
        self.was_read.set()
        return super().read(bucket, key)


def test_on_the_real_clock_a_queued_run_reads_its_file_without_anybody_asking() -> None:
    buckets = WatchedBuckets()
    simulator = Simulator(buckets, settings=Settings(pace=Pace(queue_seconds=0.05, run_seconds=0.05)))
    seeded = seed(simulator, "inbox", [("Accounts", FILE)])
    simulator.start_foreign_run(seeded.integration_ids["Accounts"])
    assert not buckets.was_read.is_set()
    assert buckets.was_read.wait(timeout=10)
    simulator.close()


def test_what_is_loaded_is_in_the_model_only_when_the_run_has_ended(anaplan: Anaplan) -> None:
    anaplan.upload(GOOD)
    anaplan.run()
    anaplan.clock.time += 9.9
    assert anaplan.rows == {}


def test_while_an_integration_runs_or_is_queued_it_is_not_run_again(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.pace = Pace(queue_seconds=5, run_seconds=5)
    anaplan.run()
    for _ in range(2):
        assert anaplan.refused("POST", f"/integrations/{anaplan.id}/run", 409) == "Integration is already running"
        anaplan.clock.time += 5
    anaplan.run()


def test_a_run_under_way_says_running_and_has_no_end(anaplan: Anaplan) -> None:
    run = anaplan.status(anaplan.run())
    assert run["message"] == "Running"
    assert run.get("endDate") is None


@pytest.mark.parametrize(
    "form, shown", [("absent", [False, False]), ("null", [True, True]), ("alternate", [False, True])]
)
def test_an_end_that_is_not_yet_is_absent_or_null(anaplan: Anaplan, form: Any, shown: list[bool]) -> None:
    anaplan.simulator.settings.variants = Variants(end_date=form)
    run_id = anaplan.run()
    assert ["endDate" in anaplan.status(run_id) for _ in range(2)] == shown


def test_dates_and_the_date_header_are_in_whole_seconds_of_a_clock_that_may_be_ahead(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.skew_seconds = 3.4
    anaplan.clock.time += 0.7
    answer = anaplan.send("GET", f"/2/0/integrations/run/{anaplan.run()}", Authorization=f"Bearer {anaplan.token}")
    assert answer.json()["run"]["startDate"] == "2026-11-24T12:00:04.000Z"
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == NOON + 4


def test_of_many_orders_at_once_one_starts_a_run(anaplan: Anaplan) -> None:
    def order(_: int) -> int:
        header = f"Bearer {anaplan.token}"
        return anaplan.send("POST", f"/2/0/integrations/{anaplan.id}/run", Authorization=header).status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(order, range(8))) == [200] + [409] * 7
    assert len(anaplan.simulator.runs) == 1


def test_an_outage_leaves_runs_as_they_are() -> None:
    simulator = Simulator(MemoryBuckets(), clock=Clock())
    with serve(simulator) as before:
        anaplan = Anaplan(simulator, MemoryBuckets(), Clock(), before.auth_url)
        run_id = anaplan.run()
    with pytest.raises(urllib3.exceptions.HTTPError):
        anaplan.run()
    with serve(simulator, before.port):
        assert anaplan.status(run_id)["message"] == "Running"
        anaplan.http.clear()


def test_a_run_that_hangs_never_ends(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.paces[anaplan.id] = Pace(run_seconds=float("inf"))
    run_id = anaplan.run()
    anaplan.clock.time += 1000
    assert anaplan.status(run_id)["message"] == "Running"


def test_a_running_import_can_be_cancelled_and_imports_nothing(anaplan: Anaplan) -> None:
    anaplan.upload(GOOD)
    run_id = anaplan.run()
    anaplan.ask("POST", f"/integrations/{anaplan.id}/cancel")
    run = anaplan.status(run_id)
    assert (run["success"], run["message"], run["endDate"]) == (False, "Cancelled", "2026-11-24T12:00:00.000Z")
    anaplan.clock.time += 60
    assert anaplan.rows == {}


def test_only_a_running_integration_can_be_cancelled(anaplan: Anaplan) -> None:
    path = f"/integrations/{anaplan.id}/cancel"
    assert "not in running state" in anaplan.refused("POST", path, 409)
    anaplan.simulator.settings.pace = Pace(queue_seconds=5)
    anaplan.run()
    assert anaplan.refused("POST", path, 404) == "Resource not found"


def test_an_unknown_integration_or_run_is_not_found(anaplan: Anaplan) -> None:
    assert anaplan.refused("POST", f"/integrations/{'0' * 32}/run", 404) == "Resource not found"
    assert anaplan.refused("GET", f"/integrations/run/{'0' * 32}", 404) == "Resource not found"


def test_a_foreign_run_counts_as_running_and_shows_its_author(anaplan: Anaplan) -> None:
    foreign = anaplan.simulator.start_foreign_run(anaplan.id)
    anaplan.refused("POST", f"/integrations/{anaplan.id}/run", 409)
    assert anaplan.status(foreign.id)["createdBy"] == "Bob Other"
    assert anaplan.history()["runs"][0]["triggeredBy"] == "Bob Other"


def test_version_1_paths_and_the_other_base_address_answer_as_well(anaplan: Anaplan) -> None:
    for base in ("/1/0", "/cloudworks/2/0"):
        header = f"Bearer {anaplan.token}"
        assert anaplan.send("GET", f"{base}/integrations/{anaplan.id}", Authorization=header).status == 200


# Outcomes


def test_some_bad_rows_are_a_partial_success_with_counts(anaplan: Anaplan) -> None:
    run = anaplan.ended(MIXED)
    assert run["message"] == "Partial success: 2 of 4 rows failed"
    assert (run["success"], run["executionErrorCode"]) == (True, 38)
    assert list(anaplan.rows) == ["A", "B"]


@pytest.mark.parametrize(
    "form, shown", [("success and code", (True, 38)), ("code alone", (False, 38)), ("message alone", (True, None))]
)
def test_a_partial_success_is_shown_in_three_ways(anaplan: Anaplan, form: Any, shown: tuple[bool, int | None]) -> None:
    anaplan.simulator.settings.variants = Variants(partial=form)
    run = anaplan.ended(MIXED)
    assert (run["success"], run["executionErrorCode"]) == shown


@pytest.mark.parametrize(
    "content, code, message",
    [
        (None, 39, "The file incoming/accounts.csv was not found in the bucket inbox"),
        (b"", 35, "The file is empty"),
        (b"Code\n\xff\xfe", 35, "The file is not UTF-8"),
        (b'Code\n"A', 35, "The file is not CSV: unexpected end of data"),
        (b"Code,Name\n,x\n,y\n", 12, "All 2 rows failed"),
        (b"Code,Name\nA\n", 12, "All 1 rows failed"),
    ],
    ids=["missing", "empty", "binary", "broken", "all bad", "ragged"],
)
def test_what_cannot_be_loaded_fails_and_says_why(
    anaplan: Anaplan, content: bytes | None, code: int, message: str
) -> None:
    run = anaplan.ended(content)
    assert (run["success"], run["executionErrorCode"], run["message"]) == (False, code, message)
    assert anaplan.rows == {}


def test_a_broken_connection_fails_the_run(anaplan: Anaplan) -> None:
    connection = anaplan.simulator.tenant.connections[anaplan.seeded.connection_id]
    anaplan.simulator.add_connection(replace(connection, error_code=1))
    assert anaplan.ended(GOOD)["executionErrorCode"] == 39
    shown = anaplan.ask("GET", "/integrations/connections")["connections"][0]
    assert (shown["status"], shown["integrationErrorCode"]) == (0, 1)


def test_a_test_can_say_how_the_next_run_ends(anaplan: Anaplan) -> None:
    anaplan.simulator.force_result(anaplan.id, Result(False, "Integration trigger error"))
    assert anaplan.ended(GOOD)["message"] == "Integration trigger error"
    assert anaplan.ended(GOOD)["message"] == "Success"


# Errors and rejected rows


def test_errors_are_grouped_by_reason_with_examples(anaplan: Anaplan) -> None:
    run = anaplan.ended(MIXED)
    (found,) = anaplan.ask("GET", f"/integrations/runerror/{run['id']}")["runs"]
    (action,) = found["errorMessages"]
    assert (action["actionName"], action["failureDumpGenerated"]) == ("Accounts from accounts.csv", True)
    shown = [(e["localMessageText"], e["occurrences"], e["values"]) for e in action["errorMessage"]]
    assert shown == [("Code is empty", 1, ["Row 3: "]), ("Duplicate code", 1, ["Row 4: A"])]


def test_errors_may_come_as_an_object_and_their_absence_as_an_object_or_an_array(anaplan: Anaplan) -> None:
    clean, mixed = anaplan.ended(GOOD)["id"], anaplan.ended(MIXED)["id"]
    assert anaplan.ask("GET", f"/integrations/runerror/{clean}")["runs"] == {}
    anaplan.simulator.settings.variants = Variants(errors="object", no_errors="array")
    assert anaplan.ask("GET", f"/integrations/runerror/{clean}")["runs"] == []
    assert anaplan.ask("GET", f"/integrations/runerror/{mixed}")["runs"]["id"] == mixed


def test_rejected_rows_can_be_had_as_csv_for_two_days(anaplan: Anaplan) -> None:
    path = f"/2/0/integrations/run/{anaplan.ended(MIXED)['id']}/dumps"
    answer = anaplan.send("GET", path, Authorization=f"Bearer {anaplan.token}")
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.data.decode().splitlines()[1:] == [
        "E,3,1,0,,Nameless,Code is empty",
        "E,4,1,0,A,Again,Duplicate code",
    ]
    anaplan.clock.time += 48 * 3600
    anaplan.token = anaplan.log_in().json()["tokenInfo"]["tokenValue"]
    anaplan.ask("GET", path.removeprefix("/2/0"), status=404)


def test_a_clean_run_has_no_dump_and_the_singular_path_is_not_routed(anaplan: Anaplan) -> None:
    run_id = anaplan.ended(GOOD)["id"]
    message = anaplan.refused("GET", f"/integrations/run/{run_id}/dumps", 404)
    assert message == "Your integration run was successful / no errors"
    answer = anaplan.send("GET", f"/2/0/integrations/run/{run_id}/dump", Authorization=f"Bearer {anaplan.token}")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html")


# History


def test_a_history_without_runs_has_no_list_of_them(anaplan: Anaplan) -> None:
    history = anaplan.history()
    assert "runs" not in history
    assert history["totalRuns"] == 0


def test_pages_may_be_shorter_than_asked_for(anaplan: Anaplan) -> None:
    for _ in range(3):
        anaplan.ended(GOOD)
    anaplan.simulator.settings.variants = Variants(largest_page=2)
    answer = anaplan.ask("GET", f"/integrations/runs/{anaplan.id}?offset=0&limit=25")
    assert len(answer["history_of_runs"]["runs"]) == 2
    assert answer["meta"]["paging"] == {"currentPageSize": 2, "offset": 0, "totalSize": 3}


def test_a_history_is_paged_newest_first(anaplan: Anaplan) -> None:
    ids = [anaplan.ended(GOOD)["id"] for _ in range(4)]
    answer = anaplan.ask("GET", f"/integrations/runs/{anaplan.id}?offset=1&limit=2")
    assert [run["id"] for run in answer["history_of_runs"]["runs"]] == [ids[2], ids[1]]
    assert answer["meta"]["paging"] == {"currentPageSize": 2, "offset": 1, "totalSize": 4}


def test_a_history_may_lag_behind_the_runs(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.history_lag_seconds = 20
    anaplan.run()
    anaplan.clock.time += 19
    assert "runs" not in anaplan.history()
    anaplan.clock.time += 1
    assert len(anaplan.history()["runs"]) == 1


def test_a_queued_run_is_not_in_the_history_and_has_no_start(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.pace = Pace(queue_seconds=5)
    run_id = anaplan.run()
    assert anaplan.status(run_id)["startDate"] is None
    assert "runs" not in anaplan.history()


def test_the_last_run_is_a_number_or_a_date(anaplan: Anaplan) -> None:
    anaplan.ended(GOOD)
    assert anaplan.history()["runs"][0]["lastRun"] == NOON + 10
    anaplan.simulator.settings.variants = Variants(last_run="iso")
    assert anaplan.history()["runs"][0]["lastRun"] == "2026-11-24T12:00:10.000Z"


# Connections


def connection(**changes: str) -> dict[str, str]:
    """The flat body of a connection."""
    body = {"name": "Other", "accessKeyId": ACCESS_KEY_ID, "secretAccessKey": SECRET_ACCESS_KEY, "bucketName": "other"}
    return body | {"workspaceId": WORKSPACE_ID} | changes


def create_connection(anaplan: Anaplan, status: int = 200, **changes: str) -> Any:
    """Ask for a connection."""
    return anaplan.ask("POST", "/integrations/connections", {"type": "AmazonS3", "body": connection(**changes)}, status)


def test_a_connection_is_made_and_never_shows_its_secret(anaplan: Anaplan) -> None:
    made = create_connection(anaplan)["connections"]["connectionId"]
    shown = anaplan.ask("GET", "/integrations/connections")
    assert shown["connections"][1]["connectionId"] == made
    assert shown["connections"][1]["body"] == {"name": "Other", "bucketName": "other"}
    assert SECRET_ACCESS_KEY not in json.dumps(shown)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"secretAccessKey": "wrong"}, "Credentials are invalid"),
        ({"accessKeyId": "wrong"}, "Credentials are invalid"),
        ({"bucketName": ""}, "Bucket name is invalid"),
        ({"bucketName": "closed"}, "Bucket access denied"),
        ({"roleArn": "arn:wrong"}, "Role arn is invalid"),
        ({"name": "S3 inbox"}, "Duplicate resource name not allowed"),
        ({"workspaceId": "0" * 32}, "Invalid value for workspace_id"),
        ({"colour": "blue"}, "Invalid request body"),
    ],
)
def test_a_connection_is_checked_at_once(anaplan: Anaplan, changes: dict[str, str], message: str) -> None:
    anaplan.simulator.settings.denied_buckets.add("closed")
    assert create_connection(anaplan, 400, **changes)["status"]["message"] == message


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_connection_is_changed_by_its_whole_flat_body_alone(anaplan: Anaplan, method: str) -> None:
    path = f"/integrations/connections/{anaplan.seeded.connection_id}"
    for body in ({"name": "Part"}, {"type": "AmazonS3", "body": connection()}):
        assert anaplan.refused(method, path, 400, body) == "Invalid request body"
    anaplan.ask(method, path, connection(name="Renamed"))
    assert anaplan.ask("GET", "/integrations/connections")["connections"][0]["body"]["name"] == "Renamed"


def test_a_connection_in_use_is_not_deleted(anaplan: Anaplan) -> None:
    path = f"/integrations/connections/{anaplan.seeded.connection_id}"
    assert anaplan.refused("DELETE", path, 409) == "The resource is being referenced"
    anaplan.ask("DELETE", f"/integrations/{anaplan.id}")
    anaplan.ask("DELETE", path)
    assert anaplan.ask("GET", "/integrations/connections")["connections"] == []


# Integrations


def integration(anaplan: Anaplan, name: str, *jobs: dict[str, Any], **more: object) -> dict[str, object]:
    """The body of an integration."""
    body = {"name": name, "version": "2.0", "workspaceId": WORKSPACE_ID, "modelId": MODEL, "jobs": list(jobs)}
    return body | more


def import_job(anaplan: Anaplan, file: str = FILE, action: str = "112000000099") -> dict[str, Any]:
    """A job from S3 to Anaplan."""
    source = {"type": "AmazonS3", "connectionId": anaplan.seeded.connection_id, "file": file}
    target = {"type": "Anaplan", "actionId": action, "fileId": "113000000099"}
    return {"type": "AmazonS3ToAnaplan", "sources": [source], "targets": [target]}


def export_job(anaplan: Anaplan, folder: str) -> dict[str, Any]:
    """A job from Anaplan to S3."""
    source = {"type": "Anaplan", "actionId": "116000000001"}
    target = {"type": "AmazonS3", "connectionId": anaplan.seeded.connection_id, "file": folder, "overwrite": True}
    return {"type": "AnaplanToAmazonS3", "sources": [source], "targets": [target]}


def create(anaplan: Anaplan, name: str, *jobs: dict[str, Any], **more: object) -> str:
    """Make an integration; returns its id."""
    made = anaplan.ask("POST", "/integrations", integration(anaplan, name, *jobs, **more))
    return str(made["integration"]["integrationId"])


def test_a_made_integration_shows_its_jobs_with_their_connections(anaplan: Anaplan) -> None:
    made = create(anaplan, "Products", import_job(anaplan, "products.csv"))
    shown = anaplan.ask("GET", f"/integrations/{made}")["integration"]
    source = shown["jobs"][0]["sources"][0]
    assert (source["connectionName"], source["bucketName"], source["file"]) == ("S3 inbox", "inbox", "products.csv")
    assert source["isConnectionDeleted"] is False
    assert (shown["integrationType"], shown["version"]) == ("Import", "2.0")


def test_integrations_are_listed_without_jobs_25_at_a_time(anaplan: Anaplan) -> None:
    seed(anaplan.simulator, "inbox", [(f"Import {number}", FILE) for number in range(30)])
    answer = anaplan.ask("GET", "/integrations")
    assert len(answer["integrations"]) == 25
    assert "jobs" not in answer["integrations"][0]
    assert answer["meta"]["paging"]["totalSize"] == 31
    assert len(anaplan.ask("GET", "/integrations?offset=25&limit=25")["integrations"]) == 6


def test_a_summary_carries_the_latest_run(anaplan: Anaplan) -> None:
    assert "latestRun" not in anaplan.ask("GET", "/integrations")["integrations"][0]
    anaplan.ended(GOOD)
    assert anaplan.ask("GET", "/integrations")["integrations"][0]["latestRun"]["message"] == "Success"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"name": "Accounts"}, "Duplicate resource name not allowed"),
        ({"version": "3.0"}, "Invalid request body"),
        ({"jobs": []}, "Invalid request body"),
        ({"modelId": MODEL.lower()}, "Invalid value for model_id"),
        ({"workspaceId": "nowhere"}, "Invalid value for workspace_id"),
        ({"processId": "112000000001"}, "Invalid value for process_id"),
    ],
)
def test_an_integration_is_checked(anaplan: Anaplan, changes: dict[str, Any], message: str) -> None:
    body = integration(anaplan, "Products", import_job(anaplan)) | changes
    assert anaplan.refused("POST", "/integrations", 400, body) == message


def test_a_job_without_a_known_connection_is_refused(anaplan: Anaplan) -> None:
    job = import_job(anaplan)
    job["sources"][0]["connectionId"] = "0" * 32
    body = integration(anaplan, "Products", job)
    assert anaplan.refused("POST", "/integrations", 400, body) == "Invalid value for connection_id"


def test_version_1_names_workspace_and_model_in_the_target(anaplan: Anaplan) -> None:
    job = import_job(anaplan)
    job["targets"][0] |= {"workspaceId": WORKSPACE_ID, "modelId": MODEL}
    body = {"name": "Products", "version": "1.0", "jobs": [job]}
    made = anaplan.ask("POST", "/integrations", body)["integration"]["integrationId"]
    assert anaplan.ask("GET", f"/integrations/{made}")["integration"]["modelId"] == MODEL


def test_a_tenant_holds_500_integrations(anaplan: Anaplan) -> None:
    seed(anaplan.simulator, "inbox", [(f"Import {number}", FILE) for number in range(499)])
    anaplan.refused("POST", "/integrations", 409, integration(anaplan, "One more", import_job(anaplan)))


def test_an_integration_is_replaced_and_deleted(anaplan: Anaplan) -> None:
    path = f"/integrations/{anaplan.id}"
    anaplan.ask("PUT", path, integration(anaplan, "Renamed", import_job(anaplan, "renamed.csv")))
    assert anaplan.ask("GET", path)["integration"]["jobs"][0]["sources"][0]["file"] == "renamed.csv"
    anaplan.ask("DELETE", path)
    anaplan.ask("GET", path, status=404)


def test_a_running_integration_is_not_deleted(anaplan: Anaplan) -> None:
    anaplan.run()
    assert anaplan.refused("DELETE", f"/integrations/{anaplan.id}", 409) == "Integration is already running"


def test_an_export_writes_the_model_to_a_folder_of_the_bucket(anaplan: Anaplan) -> None:
    anaplan.ask("PUT", f"/integrations/{anaplan.id}", integration(anaplan, "Accounts", import_job(anaplan)))
    anaplan.ended(GOOD)
    anaplan.run(create(anaplan, "Export", export_job(anaplan, "exports/")))
    anaplan.clock.time += 60
    anaplan.simulator.tick()
    written = anaplan.buckets.read("inbox", "exports/Action 116000000001.csv")
    assert written is not None
    assert written.content == b"Code,Name\r\nA,Alpha\r\nB,Beta\r\n"


def test_a_process_has_a_dump_for_each_of_its_imports(anaplan: Anaplan) -> None:
    jobs = [import_job(anaplan, "good.csv", "112000000001"), import_job(anaplan, "mixed.csv", "112000000002")]
    process = create(anaplan, "Both", *jobs, processId="118000000001")
    anaplan.upload(GOOD, "good.csv")
    anaplan.upload(MIXED, "mixed.csv")
    run_id = anaplan.run(process)
    anaplan.clock.time += 60
    assert anaplan.status(run_id)["message"] == "Partial success: 2 of 6 rows failed"
    path = f"/2/0/integrations/run/{run_id}/process/import/112000000002/dumps"
    assert anaplan.send("GET", path, Authorization=f"Bearer {anaplan.token}").status == 200
    anaplan.ask("GET", f"/integrations/run/{run_id}/process/import/112000000001/dumps", status=404)
    anaplan.ask("GET", f"/integrations/run/{run_id}/dumps", status=404)


def test_a_process_with_a_failed_import_fails_as_a_whole(anaplan: Anaplan) -> None:
    process = create(anaplan, "Broken", import_job(anaplan, "missing.csv"), processId="118000000001")
    run_id = anaplan.run(process)
    anaplan.clock.time += 60
    assert anaplan.status(run_id)["message"] == "Process failed"


def test_a_process_cannot_be_cancelled_in_any_state(anaplan: Anaplan) -> None:
    process = create(anaplan, "Slow", import_job(anaplan, "good.csv"), processId="118000000001")
    anaplan.upload(GOOD, "good.csv")
    anaplan.simulator.settings.pace = Pace(queue_seconds=5, run_seconds=10)
    path = f"/integrations/{process}/cancel"
    run_id = anaplan.run(process)
    assert anaplan.refused("POST", path, 404) == "Resource not found"
    anaplan.clock.time += 6
    assert anaplan.status(run_id)["message"] == "Running"
    assert "not in running state" in anaplan.refused("POST", path, 409)
    anaplan.clock.time += 60
    assert anaplan.status(run_id)["message"] == "Success"
    assert "not in running state" in anaplan.refused("POST", path, 409)


# Roles


def test_without_a_role_everything_is_refused(anaplan: Anaplan) -> None:
    anaplan.simulator.add_user(replace(anaplan.simulator.tenant.users[USERNAME], role=None))
    assert anaplan.refused("GET", "/integrations", 403) == "Not Permitted"
    assert anaplan.refused("POST", f"/integrations/{anaplan.id}/run", 452) == "Tenant not entitled"


@pytest.mark.parametrize("changes", [{"workspaces": frozenset()}, {"role": "Integration Admin"}])
def test_what_a_user_does_not_reach_is_an_empty_list_and_not_found(anaplan: Anaplan, changes: dict[str, Any]) -> None:
    anaplan.simulator.add_user(replace(anaplan.simulator.tenant.users[USERNAME], **changes))
    assert anaplan.ask("GET", "/integrations")["integrations"] == []
    assert anaplan.ask("GET", "/integrations/connections")["connections"] == []
    anaplan.ask("POST", f"/integrations/{anaplan.id}/run", status=404)


# Flows


def step(integration_id: str, **changes: object) -> dict[str, object]:
    """A step of a flow."""
    return {"type": "Integration", "referrer": integration_id, "isSkipped": False, "exceptionBehavior": []} | changes


def create_flow(anaplan: Anaplan, *steps: dict[str, object]) -> str:
    """Make a flow; returns its id."""
    body = {"name": "Nightly", "version": "2.0", "type": "IntegrationFlow", "steps": steps}
    return str(anaplan.ask("POST", "/integrationflows", body)["integrationFlow"]["integrationFlowId"])


@pytest.fixture
def flow(anaplan: Anaplan) -> str:
    """A flow of two imports; only the first has a file."""
    second = seed(anaplan.simulator, "inbox", [("Products", "products.csv")]).integration_ids["Products"]
    anaplan.upload(GOOD)
    return create_flow(anaplan, step(anaplan.id), step(second))


def test_a_flow_runs_its_steps_one_after_another(anaplan: Anaplan, flow: str) -> None:
    anaplan.upload(GOOD, "products.csv")
    anaplan.ask("POST", f"/integrationflows/{flow}/run")
    anaplan.clock.time += 60
    shown = anaplan.ask("GET", f"/integrationflows/{flow}")["integrationFlow"]
    assert [s["latestRun"]["startDate"] for s in shown["steps"]] == [
        "2026-11-24T12:00:00.000Z",
        "2026-11-24T12:00:10.000Z",
    ]
    assert shown["latestRun"]["endDate"] == "2026-11-24T12:00:20.000Z"
    assert shown["latestRun"]["message"] == "Success"
    (run,) = anaplan.history()["runs"]
    assert run["triggerSource"] == "manual_inf"
    assert anaplan.status(run["id"])["flowGroupId"] == flow


def test_a_flow_stops_at_a_failed_step_and_says_so(anaplan: Anaplan, flow: str) -> None:
    anaplan.upload(b"")
    anaplan.ask("POST", f"/integrationflows/{flow}/run")
    anaplan.clock.time += 60
    shown = anaplan.ask("GET", f"/integrationflows/{flow}")["integrationFlow"]
    assert shown["latestRun"]["success"] is False
    assert ["latestRun" in step for step in shown["steps"]] == [True, False]


def test_a_flow_goes_on_after_a_partial_success_and_after_a_failure_where_told(anaplan: Anaplan) -> None:
    going_on = [{"type": "failure", "strategy": "continue"}]
    ids = seed(anaplan.simulator, "inbox", [("Missing", "missing.csv"), ("Mixed", "mixed.csv")]).integration_ids
    anaplan.upload(MIXED, "mixed.csv")
    made = create_flow(anaplan, step(ids["Missing"], exceptionBehavior=going_on), step(ids["Mixed"]), step(anaplan.id))
    anaplan.ask("POST", f"/integrationflows/{made}/run")
    anaplan.clock.time += 60
    assert len(anaplan.simulator.runs) == 3


def test_a_flow_under_way_is_not_run_again(anaplan: Anaplan, flow: str) -> None:
    anaplan.ask("POST", f"/integrationflows/{flow}/run")
    anaplan.clock.time += 11
    anaplan.refused("POST", f"/integrationflows/{flow}/run", 409)
    anaplan.refused("DELETE", f"/integrationflows/{flow}", 409)


def test_a_flow_runs_only_the_steps_asked_for(anaplan: Anaplan, flow: str) -> None:
    anaplan.ask("POST", f"/integrationflows/{flow}/run", {"stepsToRun": [anaplan.id]})
    anaplan.clock.time += 60
    assert [run.integration_id for run in anaplan.simulator.runs] == [anaplan.id]


def test_a_flow_needs_two_enabled_steps(anaplan: Anaplan) -> None:
    body = {"name": "Short", "version": "2.0", "type": "IntegrationFlow"}
    steps = [step(anaplan.id), step(anaplan.id, isSkipped=True)]
    anaplan.refused("POST", "/integrationflows", 400, body | {"steps": steps})


def test_the_run_id_of_a_flow_is_known_to_run_status_only_where_told(anaplan: Anaplan, flow: str) -> None:
    run_id = anaplan.ask("POST", f"/integrationflows/{flow}/run")["run"]["id"]
    anaplan.ask("GET", f"/integrations/run/{run_id}", status=404)
    anaplan.simulator.settings.variants = Variants(flow_runs_resolve=True)
    assert anaplan.status(run_id)["flowGroupId"] == flow


def test_a_flow_is_listed_replaced_and_deleted(anaplan: Anaplan, flow: str) -> None:
    (shown,) = anaplan.ask("GET", "/integrationflows")["integrationFlows"]
    assert (shown["id"], shown["stepsCount"]) == (flow, 2)
    body = {"name": "Daily", "version": "2.0", "type": "IntegrationFlow", "steps": [step(anaplan.id)] * 2}
    anaplan.ask("PUT", f"/integrationflows/{flow}", body)
    assert anaplan.ask("GET", f"/integrationflows/{flow}")["integrationFlow"]["name"] == "Daily"
    anaplan.ask("DELETE", f"/integrationflows/{flow}")
    assert anaplan.ask("GET", "/integrationflows")["integrationFlows"] == []


# Shapes: every answer has the fields of Anaplan's OpenAPI description, in their types, and no others.

HEX = re.compile(r"[0-9a-f]{32}")
UPPER_HEX = re.compile(r"[0-9A-F]{32}")
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z")
SPACED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00")
DIGITS = re.compile(r"\d+")

OBJECT_FIELDS = {"createdBy": str, "modifiedBy": str, "creationDate": DATE, "modificationDate": DATE}
LATEST_RUN = {
    "triggeredBy": str,
    "startDate": DATE,
    "endDate": (DATE, None),
    "success": bool,
    "message": str,
    "executionErrorCode": (int, None),
    "triggerSource": str,
}
RUN_RECORD = LATEST_RUN | {"id": HEX, "traceId": HEX, "lastRun": int}
RUN_STATUS = {name: kind for name, kind in LATEST_RUN.items() if name != "triggeredBy"} | {
    "id": HEX,
    "integrationId": HEX,
    "traceId": HEX,
    "flowGroupId": (str, None),
    **OBJECT_FIELDS,
}
SUMMARY = OBJECT_FIELDS | {
    "integrationId": HEX,
    "name": str,
    "integrationType": str,
    "workspaceId": HEX,
    "modelId": UPPER_HEX,
    "latestRun": LATEST_RUN,
    "notificationId": HEX,
    "nuxVisible": bool,
}
JOB = {
    "type": str,
    "sources": [
        {
            "type": str,
            "connectionId": HEX,
            "file": str,
            "connectionName": str,
            "isConnectionDeleted": bool,
            "bucketName": str,
        }
    ],
    "targets": [{"type": str, "actionId": DIGITS, "fileId": DIGITS}],
}
HISTORY = {name: kind for name, kind in SUMMARY.items() if name not in ("latestRun", "nuxVisible")} | {
    "version": str,
    "schedule": None,
    "status": int,
    "runs": [RUN_RECORD],
    "totalRuns": int,
}
CONNECTION = OBJECT_FIELDS | {
    "connectionId": HEX,
    "connectionType": str,
    "body": {"name": str, "bucketName": str},
    "status": int,
    "integrationErrorCode": (int, None),
    "workspaceId": (HEX, None),
    "authMethod": (str, None),
}
RUN_ERRORS = OBJECT_FIELDS | {
    "id": HEX,
    "taskId": str,
    "errorMessages": [
        {
            "actionId": DIGITS,
            "actionName": str,
            "failureDumpGenerated": bool,
            "errorMessage": [{"localMessageText": str, "occurrences": int, "type": str, "values": [str]}],
        }
    ],
}
FLOW = OBJECT_FIELDS | {"id": HEX, "name": str, "nuxVisible": bool, "stepsCount": int, "latestRun": LATEST_RUN}
STEP = {
    "referrer": HEX,
    "name": str,
    "type": str,
    "createdBy": str,
    "createdDate": SPACED,
    "modifiedDate": SPACED,
    "modifiedBy": (str, None),
    "modelId": UPPER_HEX,
    "workspaceId": HEX,
    "dependsOn": [str],
    "isSkipped": bool,
    "exceptionBehavior": [{"type": str, "strategy": str}],
    "latestRun": LATEST_RUN,
}
STATUS = {"code": int, "message": str}
META = {"schema": str}
PAGED = META | {"paging": {"currentPageSize": int, "totalSize": int, "offset": int}}
COUNTED = PAGED | {"tenantCurrentCount": int, "tenantMaxAllowed": int}
ANSWERS: dict[str, dict[str, Any]] = {
    "/integrations/connections": {"connections": [CONNECTION], "meta": PAGED},
    "/integrations": {"integrations": [SUMMARY], "meta": COUNTED},
    "/integrations/{id}": {"integration": SUMMARY | {"version": str, "jobs": [JOB]}, "meta": META},
    "/integrations/runs/{id}?offset=0&limit=5": {"history_of_runs": HISTORY, "meta": PAGED},
    "/integrations/run/{run}": {"run": RUN_STATUS, "meta": META},
    "/integrations/runerror/{run}": {"runs": [RUN_ERRORS], "meta": META},
    "/integrationflows": {"integrationFlows": [FLOW], "meta": PAGED},
    "/integrationflows/{flow}": {"integrationFlow": FLOW | {"version": str, "steps": [STEP]}, "meta": META},
}


def differences(found: object, shape: Any, where: str) -> list[str]:
    """Where a JSON value is not of its shape."""
    match shape:
        case dict() if isinstance(found, dict):
            wrong = [f"{where}.{name}: only in one of both" for name in found.keys() ^ shape.keys()]
            common = found.keys() & shape.keys()
            return wrong + [d for name in common for d in differences(found[name], shape[name], f"{where}.{name}")]
        case list() if isinstance(found, list):
            return [d for item in found for d in differences(item, shape[0], f"{where}[]")]
        case tuple():
            return [] if any(not differences(found, one, where) for one in shape) else [f"{where}: {found!r}"]
        case re.Pattern() if isinstance(found, str) and shape.fullmatch(found):
            return []
        case None | type() if type(found) is (shape or NoneType):
            return []
    return [f"{where}: {found!r}"]


@pytest.mark.parametrize("path", ANSWERS)
def test_answers_have_all_fields_of_the_description_in_their_types(anaplan: Anaplan, path: str) -> None:
    flow = create_flow(anaplan, *[step(anaplan.id, exceptionBehavior=[{"type": "failure", "strategy": "stop"}])] * 2)
    anaplan.upload(MIXED)
    anaplan.ask("POST", f"/integrationflows/{flow}/run")
    anaplan.clock.time += 60
    run = anaplan.simulator.runs[0].id
    answer = anaplan.ask("GET", path.format(id=anaplan.id, run=run, flow=flow))
    assert differences(answer, {"status": STATUS} | ANSWERS[path], "answer") == []


def test_refusals_carry_code_message_path_and_time(anaplan: Anaplan) -> None:
    answer = anaplan.ask("GET", "/integrations/nothing", status=404)
    assert differences(answer, {"status": STATUS, "path": str, "timestamp": DATE}, "answer") == []


# Faults


def fails(anaplan: Anaplan, method: str = "POST") -> bool:
    """Whether the order to run (or a look at the list) is lost on the way."""
    path = f"/integrations/{anaplan.id}/run" if method == "POST" else "/integrations"
    try:
        anaplan.ask(method, path)
    except urllib3.exceptions.ProtocolError:
        return True
    return False


@pytest.mark.parametrize("kind, runs", [("lose_before", 0), ("lose_after", 1)])
def test_a_request_or_its_answer_can_be_lost(anaplan: Anaplan, kind: Any, runs: int) -> None:
    anaplan.simulator.add_fault(Fault(kind=kind, method="POST", path="/run$"))
    assert fails(anaplan)
    assert len(anaplan.simulator.runs) == runs
    assert not fails(anaplan, "GET")


def test_a_fault_is_met_as_often_as_told(anaplan: Anaplan) -> None:
    anaplan.simulator.add_fault(Fault(kind="lose_before", count=2))
    assert [fails(anaplan, "GET") for _ in range(3)] == [True, True, False]


def test_an_error_can_be_answered_instead_with_headers_and_html(anaplan: Anaplan) -> None:
    anaplan.simulator.add_fault(Fault(kind="status", status=503, headers={"Retry-After": "7"}, body="<p>Busy</p>"))
    answer = anaplan.send("GET", "/2/0/integrations", Authorization=f"Bearer {anaplan.token}")
    assert (answer.status, answer.headers["Retry-After"], answer.data) == (503, "7", b"<p>Busy</p>")
    assert answer.headers["Content-Type"] == "text/html"


def test_a_truncated_answer_is_no_json_though_the_run_began(anaplan: Anaplan) -> None:
    anaplan.simulator.add_fault(Fault(kind="truncate"))
    answer = anaplan.send("POST", f"/2/0/integrations/{anaplan.id}/run", Authorization=f"Bearer {anaplan.token}")
    assert answer.status == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    assert len(anaplan.simulator.runs) == 1


def test_a_slow_answer_outlasts_an_impatient_client(anaplan: Anaplan) -> None:
    anaplan.simulator.add_fault(Fault(kind="slow", seconds=0.5))
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        anaplan.http.request("GET", anaplan.url + "/2/0/integrations", timeout=0.1)


def test_a_token_can_expire_at_a_bad_moment(anaplan: Anaplan) -> None:
    anaplan.simulator.add_fault(Fault(kind="expire_token", path="/run$"))
    anaplan.ask("GET", "/integrations")
    assert anaplan.refused("POST", f"/integrations/{anaplan.id}/run", 403) == "Not Authorized"
    anaplan.ask("GET", "/integrations", status=403)


def test_random_faults_are_the_same_for_the_same_seed() -> None:
    def met(seed_number: int) -> list[str | None]:
        simulator = Simulator(MemoryBuckets(), clock=Clock(), settings=Settings(fail_rate=0.5), seed=seed_number)
        with serve(simulator) as address:
            for _ in range(30):
                urllib3.request("GET", f"{address.admin_url}/state")
                try:
                    urllib3.request("GET", f"{address.cloudworks_url}/integrations", retries=False)
                except urllib3.exceptions.ProtocolError:
                    continue
        return [seen.fault for seen in simulator.requests]

    assert met(1) == met(1)
    assert {None, "lose_before", "status"} <= set(met(1))


def test_too_many_requests_in_a_minute_are_answered_with_429(anaplan: Anaplan) -> None:
    anaplan.clock.time += 60
    anaplan.simulator.settings.requests_per_minute = 2
    for _ in range(2):
        anaplan.ask("GET", "/integrations")
    answer = anaplan.send("GET", "/2/0/integrations", Authorization=f"Bearer {anaplan.token}")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "60")
    anaplan.clock.time += 60
    anaplan.ask("GET", "/integrations")


# What tests are told


def test_runs_tell_which_version_of_the_file_they_read(anaplan: Anaplan) -> None:
    for content in (GOOD, MIXED):
        anaplan.ended(content)
    first, second = anaplan.simulator.runs
    assert (first.source_version, second.source_version) == ("v1", "v2")
    assert (first.source_rows, second.source_rows) == (2, 4)
    assert first.source_etag != second.source_etag


def test_runs_under_way_on_one_model_at_once_are_reported(anaplan: Anaplan) -> None:
    shared = anaplan.seeded.model_ids["Accounts"]
    other = seed(anaplan.simulator, "inbox", [("Products", "products.csv")], shared).integration_ids["Products"]
    first = anaplan.run()
    anaplan.clock.time += 4
    second = anaplan.run(other)
    (overlap,) = anaplan.simulator.overlaps
    assert (overlap.first, overlap.second, overlap.seconds) == (first, second, 6)


def test_the_request_log_holds_who_asked_for_what_and_no_credentials(anaplan: Anaplan) -> None:
    anaplan.ask("GET", "/integrations?offset=0&limit=1")
    seen = anaplan.simulator.requests[-1]
    assert (seen.method, seen.path, seen.status, seen.user) == ("GET", "/2/0/integrations", 200, USERNAME)
    told = f"{anaplan.simulator.requests} {anaplan.simulator.settings} {anaplan.simulator.tenant}"
    for secret in (anaplan.token, PASSWORD, SECRET_ACCESS_KEY, packed(f"{USERNAME}:{PASSWORD}".encode())):
        assert secret not in told


# The simulator's own operations


def admin(anaplan: Anaplan, method: str, path: str, body: object = None, status: int = 200) -> Any:
    """A request to the simulator itself."""
    answer = anaplan.send(method, f"/simulator/{path}", body)
    assert answer.status == status, answer.data
    return answer.json()


def test_a_world_can_be_seeded_turned_and_watched_over_http(anaplan: Anaplan) -> None:
    body = {"bucket": "inbox", "integrations": [{"name": "Products", "file": FILE}]}
    made = admin(anaplan, "POST", "seed", body)["integration_ids"]["Products"]
    admin(anaplan, "POST", "settings", {"skew_seconds": 5, "pace": {"run_seconds": 1}})
    anaplan.upload(GOOD)
    started = admin(anaplan, "POST", "runs", {"integration_id": made})["id"]
    anaplan.clock.time += 1
    state = admin(anaplan, "GET", "state")
    (run,) = state["runs"]
    assert (run["id"], run["phase"], run["author"]) == (started, "ended", "Bob Other")
    assert state["imported"] == {run["model_id"]: 2}
    assert list(admin(anaplan, "GET", f"models/{run['model_id']}")) == ["A", "B"]
    assert state["anaplan_now"] - state["now"] == pytest.approx(5)


def test_faults_and_results_can_be_ordered_and_faults_called_off_over_http(anaplan: Anaplan) -> None:
    admin(anaplan, "POST", "faults", {"kind": "lose_before", "path": "/integrations", "count": None})
    assert fails(anaplan, "GET")
    admin(anaplan, "DELETE", "faults")
    admin(anaplan, "POST", "results", {"integration_id": anaplan.id, "success": False, "message": "No", "code": 39})
    run = anaplan.ended(GOOD)
    assert (run["message"], run["executionErrorCode"]) == ("No", 39)


def test_passwords_can_be_changed_and_tokens_ended_over_http(anaplan: Anaplan) -> None:
    user = {"name": USERNAME, "display_name": "Ada Builder", "password": "changed", "workspaces": [WORKSPACE_ID]}
    admin(anaplan, "POST", "users", user)
    admin(anaplan, "POST", "tokens/expire")
    anaplan.ask("GET", "/integrations", status=403)
    assert anaplan.log_in().status == 401
    assert anaplan.log_in(password="changed").status == 201


@pytest.mark.parametrize(
    "path, body, part",
    [
        ("settings", {"skew": 5}, "skew"),
        ("settings", {"fail_rate": "often"}, "fail_rate"),
        ("faults", {"kind": "explode"}, "explode"),
        ("faults", {"kind": "slow", "path": "("}, "path"),
        ("seed", {"bucket": "inbox", "integrations": [{"name": "Accounts", "file": "x"}]}, "Accounts"),
    ],
)
def test_mistakes_in_orders_to_the_simulator_are_explained(anaplan: Anaplan, path: str, body: Any, part: str) -> None:
    assert part in admin(anaplan, "POST", path, body, 400)["error"]


# With S3, and alone


@pytest.fixture
def s3() -> Iterator[Any]:
    """S3 with a versioned bucket."""
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="inbox", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        client.put_bucket_versioning(Bucket="inbox", VersioningConfiguration={"Status": "Enabled"})
        yield client


def test_s3_objects_are_read_with_version_and_etag_and_exports_written(s3: Any) -> None:
    buckets = S3Buckets(s3)
    put = s3.put_object(Bucket="inbox", Key=FILE, Body=GOOD)
    found = buckets.read("inbox", FILE)
    assert found is not None
    assert (found.content, found.version_id, f'"{found.etag}"') == (GOOD, put["VersionId"], put["ETag"])
    buckets.write("inbox", "exports/a.csv", MIXED)
    assert s3.get_object(Bucket="inbox", Key="exports/a.csv")["Body"].read() == MIXED


def test_missing_objects_and_buckets_are_told_apart_from_others(s3: Any) -> None:
    buckets = S3Buckets(s3)
    assert buckets.read("inbox", "missing") is None
    assert (buckets.exists("inbox"), buckets.exists("missing")) == (True, False)


def test_a_connection_to_a_bucket_that_does_not_exist_is_refused(s3: Any) -> None:
    simulator = Simulator(S3Buckets(s3), clock=Clock())
    with serve(simulator) as address:
        anaplan = Anaplan(simulator, MemoryBuckets(), Clock(), address.auth_url)
        assert create_connection(anaplan, 400, bucketName="missing")["status"]["message"] == "Bucket name is invalid"
        anaplan.http.clear()


def test_the_simulator_runs_alone_and_ends_when_told() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "local.cloudworks", "--bucket", "inbox", "--integration", f"Accounts={FILE}"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (our own)
        assert process.stdout is not None
        told = dict(process.stdout.readline().strip().split("=" if index else ": ") for index in range(3))
        url = told["CLOUDWORKS_URL"]
        assert urllib3.request("GET", f"{url}/integrations", retries=False).status == 403
        process.terminate()
    assert process.returncode == 0
    assert told["integration Accounts"]
