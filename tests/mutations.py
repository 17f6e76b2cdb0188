"""Break the protocol on purpose, one place at a time, and see whether the tests notice.

    python -m tests.mutations [seconds of CPU for each] [words of the names of those to try]

Every mutation replaces text in a copy of the function's source, and fails loudly when that text is gone. Then the model
hunts for a history that breaks the promise; where the model cannot see the difference, a named test looks for it. What
is found is printed as a table. Exits with 1 when a mutation survives that was expected to be caught.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parent.parent
PACKAGE = "anaplan_autoload"
SECONDS = 60
"""Of CPU, for each mutation: a busy machine takes longer, and finds the same."""
PATIENCE = 20
"""How many times that a hunt may take on the clock on the wall."""
CALM = "calm"
"""Hunt in histories without trouble and without sweeps."""


class Mutation(Struct, frozen=True):
    """A deliberate fault."""

    name: str
    edits: tuple[tuple[str, str, str], ...]
    """File, the text that stands there, and the text that takes its place."""
    hunt: str = "stormy"
    """In which histories, at which crossing, or the test that sees what the model cannot."""
    harmless: str = ""
    """Why it cannot break the promise, where it cannot."""


_ANNOUNCE = """        if isinstance(end, Recorded):
            self.act(finishing.announce, lease, end)
"""
_END = "        return self.act(ending.end, lease, batch, state, run_id, recorded)\n"
_STATES = (
    "        finishing.finish_uploads_from(step, services, lease, batch, state, run_id, finishing.last_part(batch))\n"
)
_CLOSE = "        closed = services.ledger.close_batch(lease, batch, now)\n"

MUTATIONS = (
    Mutation(
        "uploads are final before the announcement",
        (
            ("handler.py", _ANNOUNCE, ""),
            (
                "handler.py",
                _END,
                _END.replace("return", "ended =") + _ANNOUNCE + "        return ended\n",
            ),
        ),
    ),
    Mutation(
        "the batch is closed before its uploads are final",
        (
            ("steps/ending.py", _STATES, ""),
            ("steps/ending.py", _CLOSE, _CLOSE + _STATES),
        ),
    ),
    Mutation(
        "nobody is told",
        (("handler.py", _ANNOUNCE, ""),),
    ),
    Mutation(
        "a 409 is taken for our own run",
        (
            (
                "steps/starting.py",
                "        return Occupied(batch)\n",
                "        found = services.cloudworks.history(route.target).runs\n"
                "        if not found:\n"
                "            return Occupied(batch)\n"
                "        return Started(msgspec.structs.replace(posted, run_id=found[0].id, lost_since=None))\n",
            ),
        ),
        "a foreign run",
    ),
    Mutation(
        "any run is adopted, whoever started it",
        (
            (
                "domain/protocol.py",
                "ours = author is not None and run.author == author and",
                "ours =",
            ),
        ),
    ),
    Mutation(
        "a run that the ledger knows is adopted",
        (("steps/starting.py", "[run for run in runs if not is_known(run, known)]", "runs"),),
        "a run just before a lost request",
    ),
    Mutation(
        "posted_at before staging, with unknown authors",
        (
            (
                "domain/protocol.py",
                "ours = author is not None and run.author == author and",
                "ours = author in (None, run.author) and",
            ),
            (
                "steps/starting.py",
                "batch, posted_at=services.clock(), lost_since",
                "batch, posted_at=batch.opened_at, lost_since",
            ),
        ),
    ),
    Mutation(
        "what arrived after the claim is covered",
        (
            (
                "steps/finishing.py",
                "    ids = services.ledger.batch_ids(lease.lane, batch, start, start + FINISHED_PER_STEP)\n",
                "    waiting = services.ledger.waiting(lease.lane)\n"
                "    ids = [item.upload.id for item in waiting if item.route == batch.route]\n",
            ),
        ),
    ),
    Mutation(
        "no sweep",
        (("steps/sweeping.py", '        services.send({"drain": found.lane})\n', ""),),
    ),
    Mutation(
        "no second look after the release, without the sweep",
        (
            (
                "steps/admission.py",
                "    if not services.ledger.waiting(lease.lane):\n        return Nothing()\n    taken",
                "    return Nothing()\n    taken",
            ),
        ),
        CALM,
    ),
    Mutation(
        "the lease is shorter than the timeout",
        (("aws/settings.py", "lease: int = 180", "lease: int = 20"),),
        "a stall in the midst of staging",
    ),
    Mutation(
        "the lease is not extended for a long wait",
        (("steps/following.py", "renew(lease, now, batch, wait=delay)", "renew(lease, now, batch)"),),
        "tests/integration/test_long_waits.py",
    ),
    Mutation(
        "the request for a run is repeated after a crash",
        (
            (
                "handler.py",
                "self.step(starting.post, lease, batch, config=at_most_once)",
                "self.step(starting.post, lease, batch)",
            ),
        ),
        "a crash right after the request",
    ),
    Mutation(
        "a lost request is not looked for",
        (
            (
                "handler.py",
                "        answer_lost = batch.unresolved_since is not None\n",
                "        answer_lost = False\n",
            ),
        ),
        "a death right after the request",
    ),
    Mutation(
        "what waits is read before it is consistent",
        (
            (
                "aws/ledger.py",
                '            IndexName="waiting",\n            ConsistentRead=True,\n            KeyCondition',
                '            IndexName="waiting",\n            KeyCondition',
            ),
        ),
        CALM,
    ),
    Mutation(
        "the outcome is read from `success` alone",
        (
            (
                "domain/outcomes.py",
                '    if error_code == PARTIAL:\n        return "partial"\n'
                '    if not success or error_code:\n        return "failed"\n'
                "    said = wording.read(message)\n"
                '    if said.cancelled:\n        return "failed"\n'
                '    return "partial" if said.left_out else "loaded"\n',
                '    return "loaded" if success else "failed"\n',
            ),
        ),
        "rows that are lost",
    ),
    Mutation(
        "finishing does not renew the lease",
        (
            ("steps/finishing.py", "@leading\ndef announce(", "def announce("),
            ("steps/finishing.py", "@leading\ndef finish_uploads(", "def finish_uploads("),
        ),
        harmless="what announcing and finishing write is conditional or idempotent, and close_batch asks for the lease",
    ),
    Mutation(
        "staging does not look at what was loaded",
        (
            (
                "steps/starting.py",
                "    if loaded is not None and upload.is_older_than(loaded):\n",
                "    if loaded is None and upload.is_older_than(upload):\n",
            ),
        ),
        "an event that comes late",
    ),
    Mutation(
        "a duplicate is recorded anew",
        (
            (
                "aws/ledger.py",
                "            Item=_encode(item),\n"
                '            ConditionExpression="attribute_not_exists(pk)",\n'
                "        )\n\n    def upload(",
                "            Item=_encode(item),\n        )\n\n    def upload(",
            ),
        ),
    ),
    Mutation(
        "a refused secret is sent again",
        (("anaplan/credentials.py", "            self._reject(secret.version)\n", ""),),
        "a secret that is refused",
    ),
    Mutation(
        "a batch is started again for ever",
        (("domain/protocol.py", "MAX_ATTEMPTS = 5\n", "MAX_ATTEMPTS = 10**9\n"),),
        "tests/integration/test_trouble.py",
    ),
)


class Verdict(Struct, frozen=True):
    """What became of a mutation."""

    mutation: Mutation
    caught: bool
    by: str
    seconds: float

    @property
    def row(self) -> str:
        """Its line of the table."""
        word = "caught" if self.caught else "harmless" if self.mutation.harmless else "SURVIVED"
        why = self.by if self.caught else self.mutation.harmless
        return f"{word:9} {self.seconds:5.0f} s  {self.mutation.name:52} {why}"


def main(arguments: list[str]) -> int:
    """Try all mutations, or those whose name holds one of the words; returns the exit code."""
    seconds = float(arguments[0]) if arguments else SECONDS
    words = arguments[1:]
    chosen = [each for each in MUTATIONS if not words or any(word in each.name for word in words)]
    verdicts = []
    for mutation in chosen:
        verdicts.append(try_out(mutation, seconds))
        print(verdicts[-1].row, flush=True)  # noqa: T201
    survived = [verdict for verdict in verdicts if not verdict.caught and not verdict.mutation.harmless]
    print(f"{sum(verdict.caught for verdict in verdicts)} of {len(verdicts)} caught, {len(survived)} survived")  # noqa: T201
    return 1 if survived else 0


def try_out(mutation: Mutation, seconds: float) -> Verdict:
    """Hunt for a mutation in a copy of the source."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory)
        shutil.copytree(ROOT / "src" / PACKAGE, source / PACKAGE)
        for file, old, new in mutation.edits:
            mutate(source / PACKAGE / file, old, new)
        caught, by = _hunt(mutation.hunt, source, seconds)
    return Verdict(mutation, caught, by, time.monotonic() - began)


def mutate(file: Path, old: str, new: str) -> None:
    """Replace the one place where the text stands; raises ValueError when it stands nowhere, or in several."""
    text = file.read_text()
    if text.count(old) != 1:
        raise ValueError(f"{file.name} holds this {text.count(old)} times, not once; mend the mutation:\n{old}")
    file.write_text(text.replace(old, new))


def _hunt(where: str, source: Path, seconds: float) -> tuple[bool, str]:
    if where.startswith("tests/"):
        command = ["-m", "pytest", "-q", "-x", "-n0", "--no-header", "--tb=line", "-o", f"pythonpath={source} .", where]
    else:
        command = ["-m", "tests.model.hunt", where, str(seconds)]
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds * PATIENCE,
    )
    lines = [line for line in done.stdout.splitlines() if line.strip() and '"_aws"' not in line]
    last = lines[-1] if lines else done.stderr[-200:]
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the hunt itself failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.returncode == 1, last


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
