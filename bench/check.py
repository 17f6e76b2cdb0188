"""Fails when a count is worse than the one in `recorded.json`: `make bench-check`.

It counts what does not depend on how busy the machine is: operations, units, requests, looks, modules and bytes. Each
count has a margin of its own, which is zero if the count is the same in every run. `make bench-record` records the
counts as they are now.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from anaplan_autoload.domain.protocol import Lease
from bench import cold_start, load_cost, notice
from bench.markdown import span
from tests.autoload import Autoload

RECORDED = Path(__file__).with_name("recorded.json")
PACKAGE = Path(".aws-sam/build/Autoload")
"""Where `make build` puts the function's package; it is measured if it exists."""
SMALL_BURST = 40
"""Uploads of the burst that is counted."""
SIMULATED = 120
"""Runs of each kind whose looks are simulated."""
LOOKS_BY_CHANCE = 2
"""The virtual clock includes the time that the test takes, so a run may be looked at once or twice more."""
DOLLARS_BY_CHANCE = 0.03
"""Two looks, and reading the secret once more."""
DOLLARS_SHARE = 0.1
"""Part of the cost is processor time, which is measured."""
BYTES_SHARE = 0.02
MODULES_MORE = 3
"""Versions of Python differ by a few modules."""


class Count(Struct, frozen=True):
    """A count, and how much more than recorded is still accepted."""

    value: float
    margin: float = 0


def counted() -> dict[str, Count]:
    """Every count, by its name."""
    return dict([*of_loads(), *of_notice(), *of_imports(), *of_package()])


def of_loads() -> Iterator[tuple[str, Count]]:
    """What one load asks for, and a burst."""
    os.environ |= {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nobodys"}
    printed = io.StringIO()
    with redirect_stdout(printed), TemporaryDirectory() as directory, Autoload(Path(directory)) as autoload:
        bench = load_cost.Bench(autoload, printed)
        loads = {seconds: bench.load(seconds) for seconds in load_cost.RUNS}
        bench.autoload.ledger.acquire(autoload.lane(), load_cost.SOMEBODY, autoload.now())
        left = bench.left()
        bench.autoload.ledger.release(Lease(autoload.lane(), load_cost.SOMEBODY, 0))
        burst = bench.covered(SMALL_BURST - 1)  # and the one that was left
    for seconds, usage in loads.items():
        yield from _of_load(f"a run of {span(seconds)}", usage)
    yield "an upload left to a leader: durable operations", Count(left.operations)
    yield "an upload left to a leader: write units", Count(left.write_units)
    yield f"a burst of {SMALL_BURST}: durable operations besides looks", Count(burst.operations - burst.looks)
    yield f"a burst of {SMALL_BURST}: write units besides looks", Count(burst.write_units - burst.looks)
    yield f"a burst of {SMALL_BURST}: requests to CloudWorks", Count(burst.requests["cloudworks"], LOOKS_BY_CHANCE)


def _of_load(name: str, usage: load_cost.Usage) -> Iterator[tuple[str, Count]]:
    dollars = round(sum(usage.costs().values()) * load_cost.LOADS, 3)
    yield f"{name}: looks", Count(usage.looks, LOOKS_BY_CHANCE)
    yield f"{name}: durable operations besides looks", Count(usage.operations - usage.looks)
    yield f"{name}: write units besides looks", Count(usage.write_units - usage.looks)
    yield f"{name}: read units", Count(usage.read_units, 1)
    yield f"{name}: requests to CloudWorks", Count(usage.requests["cloudworks"], LOOKS_BY_CHANCE)
    yield f"{name}: messages", Count(usage.requests["sns"])
    yield (
        f"{name}: US dollars for {load_cost.LOADS:,}",
        Count(dollars, round(dollars * DOLLARS_SHARE + DOLLARS_BY_CHANCE, 3)),
    )


def of_notice() -> Iterator[tuple[str, Count]]:
    """Looks at runs, and how late their end is seen; simulated, so the same each time."""
    for situation in notice.SITUATIONS:
        for usual in notice.LENGTHS:
            seen = notice.learned(notice.lengths_of(situation, usual, SIMULATED))
            name = f"runs of {span(usual)}, {situation}"
            yield f"{name}: looks", Count(round(mean(seen.looks), 2))
            yield f"{name}: seconds to notice", Count(round(mean(seen.late), 2))


def of_imports() -> Iterator[tuple[str, Count]]:
    """Modules that are imported besides the standard library's, and modules of all kinds for the help."""
    names = cold_start.run(f"{cold_start.OURS}\nimport sys\nprint(*sys.modules)").stdout.split()
    others = [name for name in names if name.split(".")[0] not in sys.stdlib_module_names]
    yield "a cold start: modules besides Python's own", Count(len(others), MODULES_MORE)
    kept_out = [name for name in cold_start.KEPT_OUT if name in names]
    yield "a cold start: modules that it can do without", Count(len(kept_out))
    program = "import sys; from anaplan_autoload_cli.__main__ import main; main(); print(*sys.modules, file=sys.stderr)"
    shown = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True)  # noqa: S603
    foreign = [name for name in shown.stderr.split() if name.split(".")[0] not in sys.stdlib_module_names]
    yield "anaplan-autoload --help: modules besides Python's own", Count(len(foreign), MODULES_MORE)


def of_package() -> Iterator[tuple[str, Count]]:
    """Bytes of the built package, unzipped, and of its bytecode; nothing of what was not built."""
    files = [file for file in PACKAGE.rglob("*") if file.is_file()]
    bytecode = sum(file.stat().st_size for file in files if file.suffix == ".pyc")
    rest = sum(file.stat().st_size for file in files) - bytecode
    sizes = {"the package without bytecode": rest, "the package's bytecode": bytecode}
    for name, size in sizes.items():
        if size:
            yield f"{name}: bytes unzipped", Count(size, size * BYTES_SHARE)


def worse(counts: Mapping[str, Count], recorded: Mapping[str, float]) -> list[str]:
    """One sentence for each count that is worse than recorded by more than its margin, or that was not recorded."""
    said = []
    for name, count in counts.items():
        if name not in recorded:
            said.append(f"{name}: {count.value:g}, and nothing is recorded. Run `make bench-record`.")
        elif count.value > recorded[name] + count.margin:
            said.append(
                f"{name}: {count.value:g}; recorded are {recorded[name]:g}, and {count.margin:g} more are accepted."
            )
    return said


def better(counts: Mapping[str, Count], recorded: Mapping[str, float]) -> list[str]:
    """One sentence for each count that is better than recorded by more than its margin."""
    return [
        f"{name}: {count.value:g}; recorded are {recorded[name]:g}."
        for name, count in counts.items()
        if name in recorded and count.value < recorded[name] - count.margin
    ]


def recorded() -> dict[str, float]:
    """The counts in the file."""
    return msgspec.json.decode(RECORDED.read_bytes(), type=dict[str, int | float])


def record(counts: Mapping[str, Count]) -> None:
    """Write the counts to the file; what cannot be counted here (a package that is not built) keeps its count."""
    values = (recorded() if RECORDED.exists() else {}) | {name: count.value for name, count in counts.items()}
    RECORDED.write_bytes(msgspec.json.format(msgspec.json.encode(values), indent=2) + b"\n")


def main() -> None:
    """Compare, or with `--record` record; exits with an error when something got worse."""
    counts = counted()
    if sys.argv[1:] == ["--record"]:
        record(counts)
        print(f"Recorded {len(counts)} counts in {RECORDED.name}.")
        return
    known = recorded()
    for sentence in better(counts, known):
        print(f"Better: {sentence}")
    if said := worse(counts, known):
        sys.exit("\n".join(["Worse than recorded (if it has to be, run `make bench-record`):", *said]))
    print(f"None of {len(counts)} counts is worse than recorded.")


if __name__ == "__main__":
    main()
