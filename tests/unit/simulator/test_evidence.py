"""What the simulator tells a test: source versions, overlaps, the log of requests."""

from __future__ import annotations

from local.cloudworks import PASSWORD, USERNAME, seed
from local.cloudworks.seeding import SECRET_ACCESS_KEY
from tests.unit.simulator.client import GOOD, MIXED, Anaplan, packed


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
