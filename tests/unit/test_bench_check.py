"""`make bench-check` fails when a count got worse, and says which."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import check, cold_start, notice
from bench.check import Count


@pytest.mark.parametrize(
    ("value", "margin", "fails"),
    [(10, 0, False), (11, 0, True), (9, 0, False), (12, 2, False), (12.5, 2, True), (0, 0, False)],
)
def test_a_count_fails_when_it_is_worse_by_more_than_its_margin(value: float, margin: float, fails: bool) -> None:
    said = check.worse({"looks": Count(value, margin)}, {"looks": 10})
    assert bool(said) is fails
    assert all("looks" in sentence and "10" in sentence for sentence in said)


def test_a_count_that_was_never_recorded_fails() -> None:
    assert "make bench-record" in check.worse({"new": Count(1)}, {})[0]


def test_a_count_that_got_better_is_named_and_does_not_fail() -> None:
    counts = {"looks": Count(7, 2)}
    assert check.worse(counts, {"looks": 10}) == []
    assert "recorded are 10" in check.better(counts, {"looks": 10})[0]


def test_a_package_that_grew_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PACKAGE", tmp_path)
    file = tmp_path / "anaplan_autoload" / "handler.py"
    file.parent.mkdir()
    file.write_bytes(b"x" * 1000)
    small = {name: count.value for name, count in check.of_package()}
    assert check.worse(dict(check.of_package()), small) == []
    file.write_bytes(b"x" * 1100)
    assert len(check.worse(dict(check.of_package()), small)) == 1


def test_a_missing_package_has_no_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PACKAGE", tmp_path / "not built")
    assert list(check.of_package()) == []


def test_recording_keeps_what_cannot_be_counted_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "RECORDED", tmp_path / "recorded.json")
    check.record({"the package": Count(5), "looks": Count(8)})
    check.record({"looks": Count(7)})
    assert check.recorded() == {"the package": 5, "looks": 7}


def test_looks_that_come_more_often_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice, "POLL", (1, 30))
    said = check.worse(dict(check.of_notice()), check.recorded())
    assert any(sentence.startswith("runs of 4 h, ±10 %: looks") for sentence in said)


def test_a_module_that_a_cold_start_can_do_without_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_start, "OURS", f"{cold_start.OURS}\nimport cryptography")
    said = check.worse(dict(check.of_imports()), check.recorded())
    assert any(sentence.startswith("a cold start: modules that it can do without") for sentence in said)
