"""The events in `events/`, which people try with `sam local invoke`, are what the function takes them for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from anaplan_autoload.domain.events import Drain, Load, Sweep, Uploads, parse

SAMPLES = Path(__file__).parents[2] / "events"
KEY = "incoming/accounts/Q3 dépenses 2026.csv"

KEYS = {
    "eventbridge-object-created": [KEY],
    "s3-delete": [],
    "s3-folder": [],
    "s3-put": [KEY],
    "s3-put-unversioned": ["incoming/accounts/accounts.csv"],
    "s3-several-records": [
        "incoming/accounts/north.csv",
        "incoming/accounts/south.csv",
        "incoming/accounts/north.csv",
    ],
    "s3-test-event": [],
    "sns-wrapped-eventbridge": [KEY],
    "sns-wrapped-s3": [KEY],
}
"""By sample: the keys of the uploads in it."""
OTHERS = {"drain": Drain, "load": Load, "sweep": Sweep}


def sample(name: str) -> object:
    return msgspec.json.decode((SAMPLES / f"{name}.json").read_bytes())


def test_the_docs_say_of_every_sample_what_it_does() -> None:
    page = (SAMPLES.parent / "docs/try-one-event.md").read_text(encoding="utf-8")

    assert [path.name for path in SAMPLES.iterdir() if f"`{path.name}`" not in page] == []


def test_every_sample_is_tried_here() -> None:
    assert {path.stem for path in SAMPLES.iterdir()} == {*KEYS, *OTHERS}


@pytest.mark.parametrize(("name", "keys"), KEYS.items())
def test_a_sample_of_uploads_names_its_keys(name: str, keys: list[str]) -> None:
    event = parse(sample(name))

    assert isinstance(event, Uploads)
    assert [upload.key for upload in event.uploads] == keys
    assert bool(event.ignored) == (not keys), "a record that is not an upload is ignored, with the reason"


@pytest.mark.parametrize(("name", "kind"), OTHERS.items())
def test_a_sample_of_another_event_is_of_its_kind(name: str, kind: type) -> None:
    assert isinstance(parse(sample(name)), kind)


def test_the_same_upload_has_the_same_id_from_s3_and_through_sns() -> None:
    direct, wrapped = parse(sample("s3-put")), parse(sample("sns-wrapped-s3"))

    assert isinstance(direct, Uploads)
    assert isinstance(wrapped, Uploads)
    assert direct.uploads == wrapped.uploads


def test_an_unversioned_upload_is_told_apart_by_its_sequencer() -> None:
    event = parse(sample("s3-put-unversioned"))

    assert isinstance(event, Uploads)
    [upload] = event.uploads
    assert upload.version_id is None
    assert upload.identity == upload.sequencer != ""
