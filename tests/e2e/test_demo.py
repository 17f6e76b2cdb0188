"""The demo: it ends well, says so, and would say otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from anaplan_autoload.aws.ledger import RunRecord
from local.aws.stack import ROOT
from local.demo.story import growing
from local.demo.verdict import Act, Begun, Fate, Seen, Told, judge
from tests.e2e.test_stack import processes
from tests.e2e.waiting import until

DEMO = (sys.executable, "-m", "local.demo")
SECONDS = 110


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src")} | more


@pytest.mark.skipif(sys.platform != "linux", reason="AWS's runtime emulator runs on Linux only")
class TestPlayed:
    """The demo as it is typed, but not on a terminal."""

    def test_it_shows_a_loaded_file_a_partial_one_and_one_run_for_a_burst(self) -> None:
        played = subprocess.run(  # noqa: S603 (our own command)
            DEMO, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert (played.returncode, played.stderr) == (0, "")
        told = [line.split()[:1] + line.split()[3:5] for line in section(played.stdout, "Messages")[2:]]
        assert told == [["loaded", "1", "0"], ["partial", "1", "4"], ["loaded", "5", "0"]]
        assert [line.split()[0] for line in section(played.stdout, "Load history")[2:]] == [
            "loaded",
            "partial",
            "loaded",
        ]
        assert "Subject: Partly loaded: accounts: 4 rows rejected (accounts.csv)" in played.stdout
        assert ",Provisions,Balance Sheet,2000,EUR,Code is empty" in played.stdout
        assert "FAILED" not in played.stdout
        assert "\x1b" not in played.stdout

    def test_interrupted_it_leaves_no_process_behind(self, tmp_path: Path) -> None:
        playing = subprocess.Popen(  # noqa: S603
            DEMO, cwd=ROOT, env=environment(TMPDIR=str(tmp_path)), stdout=subprocess.PIPE, text=True
        )
        with playing:
            assert playing.stdout is not None
            for line in playing.stdout:
                if "leads the lane" in line:
                    break
            assert processes(tmp_path)
            playing.send_signal(signal.SIGINT)
            rest = playing.stdout.read()
        assert playing.returncode == 130
        assert "everything that was started has ended" in rest
        until(lambda: not processes(tmp_path), "every process has ended")

    def test_without_the_runtime_emulator_it_fails_and_says_how_to_get_it(self, tmp_path: Path) -> None:
        played = subprocess.run(  # noqa: S603
            DEMO,
            cwd=ROOT,
            env=environment(AUTOLOAD_RIE=str(tmp_path / "none")),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert played.returncode == 1
        assert "`make local` fetches it" in played.stdout


def section(output: str, title: str) -> list[str]:
    """The lines under a title, up to the next empty line."""
    lines = output.splitlines()
    [start] = [number for number, line in enumerate(lines) if line.startswith(title)]
    return lines[start + 1 : lines.index("", start)]


def record(run_id: str, outcome: Any, uploads: int) -> RunRecord:
    return RunRecord(
        id=run_id,
        lane="lane",
        route="accounts",
        outcome=outcome,
        ended_at="2026-11-24T21:05:00.000Z",
        uploads_total=uploads,
        announced=True,
    )


CLEAN = Act("clean", ("v1",), b"Code,Name\nA,Cash\n")
MISTAKEN = Act("mistaken", ("v2",), b"Code,Name\nA,Cash\nA,Again\n,Nothing\n")
BURST = Act("burst", ("v3", "v4"), b"Code,Name\nA,Cash\nB,Bank\n")
GOOD = Seen(
    clean=CLEAN,
    mistaken=MISTAKEN,
    burst=BURST,
    told=(
        Told("loaded", "r1", ("v1",), 0),
        Told("partial", "r2", ("v2",), 2),
        Told("loaded", "r3", ("v3", "v4"), 0),
    ),
    orders=3,
    runs=(Begun("r1", "v1"), Begun("r2", "v2"), Begun("r3", "v4")),
    overlaps=0,
    model={"A": {"Code": "A", "Name": "Cash"}, "B": {"Code": "B", "Name": "Bank"}},
    history=(record("r1", "loaded", 1), record("r2", "partial", 1), record("r3", "loaded", 2)),
    fates={
        "v1": Fate("loaded", "r1"),
        "v2": Fate("partial", "r2"),
        "v3": Fate("loaded", "r3"),
        "v4": Fate("loaded", "r3"),
    },
    counted={"RunsLoaded": 2, "RunsPartial": 1, "UploadsCovered": 4},
    dead_letters=0,
)


def problems(seen: Seen) -> str:
    return "\n".join(problem for finding in judge(seen) for problem in finding.problems)


def test_what_came_as_promised_has_no_problem() -> None:
    assert problems(GOOD) == ""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"told": GOOD.told[1:]}, "subscribers got 0 messages about it, not one"),
        ({"told": (*GOOD.told, GOOD.told[0])}, "subscribers got 2 messages about it, not one"),
        ({"told": (GOOD.told[0], replace(GOOD.told[1], outcome="loaded"), GOOD.told[2])}, "told that it is loaded"),
        ({"told": (GOOD.told[0], replace(GOOD.told[1], rows_rejected=1), GOOD.told[2])}, "1 rejected rows, not of 2"),
        ({"told": (*GOOD.told[:2], replace(GOOD.told[2], versions=("v4",)))}, "speaks of 1 uploads, not of these 2"),
        ({"runs": (*GOOD.runs[:2], Begun("r3", "v3"))}, "its run r3 did not read the last version"),
        ({"runs": (*GOOD.runs, Begun("r4", "v4"))}, "4 runs began, not 3"),
        ({"orders": 4}, "4 requests for a run reached CloudWorks, not 3"),
        ({"overlaps": 1}, "1 pairs of runs overlapped, not 0"),
        ({"dead_letters": 1}, "1 dead letters wait, not 0"),
        ({"history": GOOD.history[:2]}, "the ledger's history has nothing for its run r3"),
        ({"history": (*GOOD.history[:2], replace(GOOD.history[2], announced=False))}, "('loaded', 2, False)"),
        ({"fates": GOOD.fates | {"v3": Fate("waiting", None)}}, "the ledger has version v3 as waiting"),
        ({"model": {"A": GOOD.model["A"]}}, "missing or different: B"),
        ({"counted": GOOD.counted | {"RunsLoaded": 3}}, "RunsLoaded is 3, not 2"),
        ({"counted": GOOD.counted | {"RunsFailed": 1}}, "RunsFailed is 1, not 0"),
    ],
)
def test_what_came_otherwise_is_a_problem(change: dict[str, Any], problem: str) -> None:
    assert problem in problems(replace(GOOD, **change))


def test_a_growing_file_keeps_its_header_and_ends_whole() -> None:
    whole = b"Code,Name\nA,Cash\nB,Bank\nC,Cars\nD,Debt\n"
    versions = growing(whole, 2)
    assert versions == [b"Code,Name\nA,Cash\nB,Bank\n", whole]
