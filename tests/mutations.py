"""Break the protocol on purpose, one place at a time, and see whether the tests notice.

    python -m tests.mutations [seconds of CPU for each] [words of the names of those to try]

Every mutation edits a copy of the function's source: it names a function and what stands in it, and fails loudly unless
exactly one place fits. Then the model hunts for a history that breaks the promise; where the model cannot see the
difference, a named test looks for it. What is found is printed as a table. Exits with 1 when a mutation survives that
was expected to be caught.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
PACKAGE = "anaplan_autoload"
SECONDS = 60
"""Of CPU, for each mutation: a busy machine takes longer, and finds the same."""
UNCHANGED_SECONDS = 10
"""Of CPU, to see first that the source keeps the promise as it is."""
PATIENCE = 20
"""A hunt may take this many times as long by the clock on the wall."""
RENEWAL = "tests/property/test_renewal.py"
CALM = "calm"
"""Hunt in histories without trouble and without sweeps."""


class Edit(Struct, frozen=True):
    """Where a mutation puts something else: statements that follow one another, or one expression."""

    file: str
    """Below the package."""
    scope: str
    """The function or the class that holds the place, as `Execution.start`; empty for the module itself."""
    found: str
    """The source there. Only what it means counts: quotes, line breaks and comments do not."""
    becomes: str
    """What takes its place; nothing takes statements away."""


class Mutation(Struct, frozen=True):
    """A deliberate fault."""

    name: str
    edits: tuple[Edit, ...]
    hunt: str = "stormy"
    """In which histories, at which crossing, or the test that sees what the model cannot."""
    harmless: str = ""
    """Why it cannot break the promise, where it cannot."""


_ANNOUNCE = """
if isinstance(end, Recorded) and not end.told:
    self.act(finishing.announce, lease, end)
"""
_END = "return self.act(ending.end, lease, batch, state, run_id, recorded)"
_STATES = "finishing.finish_uploads_from(step, services, lease, batch, state, run_id, finishing.last_part(batch))"
_CLOSE = "closed = services.ledger.close_batch(lease, batch, now)"
_OWE = """
if digested:
    owe(services, record.lane, report)
"""
_MARK = """
if told:
    services.ledger.mark_announced(record, iso(services.clock()) if wanted else None)
"""
_SEND_DIGEST = "sent = publish_digest(services.sns, topic, owed, services.settings.contact)"
_OURS = 'ours = author is not None and run.author == author and run.trigger in (None, "manual", "manual_inf")'
_POSTED = "msgspec.structs.replace(batch, posted_at=services.clock(), lost_since=batch.unresolved_since, run_id=None)"

MUTATIONS = (
    Mutation(
        "uploads are final before the announcement",
        (
            Edit("handler.py", "Execution.load_batch", _ANNOUNCE, ""),
            Edit(
                "handler.py",
                "Execution.load_batch",
                _END,
                _END.replace("return", "ended =") + _ANNOUNCE + "return ended",
            ),
        ),
    ),
    Mutation(
        "the batch is closed before its uploads are final",
        (
            Edit("steps/ending.py", "end", _STATES, ""),
            Edit("steps/ending.py", "end", _CLOSE, f"{_CLOSE}\n{_STATES}"),
        ),
    ),
    Mutation(
        "nobody is told what failed or was partial",
        (Edit("handler.py", "Execution.load_batch", _ANNOUNCE, ""),),
    ),
    Mutation(
        "nobody is told what was loaded",
        (Edit("steps/finishing.py", "record_run", "tell_how_it_ended(step, services, record, batch)", "pass"),),
    ),
    Mutation(
        "what people are owed is noted after the announcement",
        (
            Edit("steps/finishing.py", "tell_how_it_ended", _OWE, ""),
            Edit("steps/finishing.py", "tell_how_it_ended", _MARK, f"{_MARK}\n{_OWE}"),
        ),
        "a death before a digest is noted",
    ),
    Mutation(
        "a digest is forgotten before it is sent",
        (
            Edit("steps/telling.py", "send_digests", "services.digests.forget(owed)", "pass"),
            Edit("steps/telling.py", "send_digests", _SEND_DIGEST, f"services.digests.forget(owed)\n{_SEND_DIGEST}"),
        ),
        "a death after some of a digest is forgotten",
    ),
    Mutation(
        "a digest forgets what is not due yet",
        (
            Edit(
                "steps/telling.py",
                "send_digests",
                "services.digests.forget(owed)",
                "services.digests.forget(services.digests.all())",
            ),
        ),
        "bursts of loads",
    ),
    Mutation(
        "nobody sends digests",
        (Edit("steps/sweeping.py", "sweep", "send_digests(step, services)", "pass"),),
        "bursts of loads",
    ),
    Mutation(
        "people get each mail of a burst",
        (
            Edit(
                "steps/finishing.py", "tell_how_it_ended", "wanted and waits_for_digest(services, record.lane)", "False"
            ),
        ),
        "bursts of loads",
    ),
    Mutation(
        "a 409 is taken for our own run",
        (
            Edit(
                "steps/starting.py",
                "_posted",
                "return Occupied(batch)",
                """
found = services.cloudworks.history(route.target).runs
if not found:
    return Occupied(batch)
return Started(msgspec.structs.replace(posted, run_id=found[0].id, lost_since=None))
""",
            ),
        ),
        "a foreign run",
    ),
    Mutation(
        "any run is adopted, with any author",
        (
            Edit(
                "domain/protocol.py",
                "_is_proven",
                _OURS,
                _OURS.replace("author is not None and run.author == author and ", ""),
            ),
        ),
    ),
    Mutation(
        "a run that the ledger knows is adopted",
        (Edit("steps/starting.py", "search", "[run for run in runs if not is_known(run, known)]", "runs"),),
        "a run just before a lost request",
    ),
    Mutation(
        "posted_at before staging, with unknown authors",
        (
            Edit(
                "domain/protocol.py",
                "_is_proven",
                _OURS,
                _OURS.replace("author is not None and run.author == author", "author in (None, run.author)"),
            ),
            Edit(
                "steps/starting.py",
                "_posted",
                _POSTED,
                _POSTED.replace("services.clock()", "batch.opened_at"),
            ),
        ),
    ),
    Mutation(
        "what arrived after the claim is covered",
        (
            Edit(
                "steps/finishing.py",
                "finish_uploads_from",
                "services.ledger.batch_ids(lease.lane, batch, start, start + FINISHED_PER_STEP)",
                "[item.upload.id for item in services.ledger.waiting(lease.lane) if item.route == batch.route]",
            ),
        ),
    ),
    Mutation(
        "no sweep",
        (Edit("steps/sweeping.py", "sweep", 'services.send({"drain": found.lane}, step.logger)', ""),),
    ),
    Mutation(
        "an open batch has no mark",
        (Edit("aws/ledger.py", "_first_ids", "'waiting'", "'marked'"),),
        "a death before the last batch is closed",
    ),
    Mutation(
        "the ids that a dead leader left are never deleted",
        (
            Edit(
                "aws/ledger.py", "Ledger.delete_leftover", "self._forget_ids(left.lane, left.batch_id, left.total)", ""
            ),
        ),
        "a death before a batch's ids are deleted",
    ),
    Mutation(
        "the ids that a dead leader left are taken for work",
        (
            Edit("aws/ledger.py", "_Found.leftovers", "lane.open.id != each.batch_id", "False"),
            Edit("aws/ledger.py", "_Found.leftovers", "lane.open is None", "False"),
        ),
        "tests/integration/test_open_batches.py",
    ),
    Mutation(
        "the ids of an open batch are deleted",
        (Edit("aws/ledger.py", "Ledger.delete_leftover", "lane.get('open', {}).get('id') == left.batch_id", "False"),),
        "tests/integration/test_open_batches.py",
    ),
    Mutation(
        "of many ids that a leader deletes, those with the mark go first",
        (
            Edit(
                "aws/ledger.py",
                "Ledger._forget_ids",
                "reversed(range(-(-total // IDS_PER_ITEM)))",
                "range(-(-total // IDS_PER_ITEM))",
            ),
        ),
        "tests/integration/test_open_batches.py",
    ),
    Mutation(
        "the mark of 1.0 is not seen",
        (Edit("aws/ledger.py", "_Found.add", "self.free = True", "pass"),),
        "tests/integration/test_open_batches.py",
    ),
    Mutation(
        "no second look after the release, without the sweep",
        (Edit("steps/admission.py", "release", "_planned(services, lease.lane, now).selection is None", "True"),),
        "tests/integration/test_main_path.py",
    ),
    Mutation(
        "the lease is shorter than the timeout",
        (Edit("aws/settings.py", "Settings", "lease: int = 180", "lease: int = 20"),),
        "a stall in the midst of staging",
    ),
    Mutation(
        "the lease is not extended for a long wait",
        (
            Edit(
                "steps/following.py",
                "_look",
                "renewed(services, lease, batch, wait=delay)",
                "renewed(services, lease, batch)",
            ),
        ),
        "tests/integration/test_long_waits.py",
    ),
    Mutation(
        "a run that CloudWorks does not know is looked at no more often",
        (Edit("steps/following.py", "_look", "min(delay, most)", "delay"),),
        "tests/integration/test_edges.py::test_a_run_that_is_looked_at_rarely_is_not_given_up_for_two_odd_answers",
    ),
    Mutation(
        "the lease is shortened when a run is said to be overdue",
        (
            Edit(
                "steps/finishing.py",
                "tell_overdue",
                "renewed(services, lease, told, wait=wait)",
                "renewed(services, lease, told)",
            ),
        ),
        "tests/integration/test_long_waits.py",
    ),
    Mutation(
        "the request for a run is repeated after a crash",
        (
            Edit(
                "handler.py",
                "Execution.post",
                "self.once(starting.post, lease, batch)",
                "self.step(starting.post, lease, batch)",
            ),
        ),
        "a crash right after the request",
    ),
    Mutation(
        "a lost request is not looked for",
        (
            Edit(
                "handler.py",
                "Execution.start",
                "Start(batch, answer_lost=batch.unresolved_since is not None)",
                "Start(batch, answer_lost=False)",
            ),
        ),
        "a death right after the request",
    ),
    Mutation(
        "an answer's date is believed however odd it is",
        (
            Edit(
                "domain/protocol.py",
                "ahead_of_us",
                "ahead if abs(ahead) <= CLOCK_SKEW_MS else 0",
                "ahead",
            ),
        ),
        "tests/integration/test_edges.py::test_an_old_run_is_not_adopted_because_an_answer_has_a_strange_date",
    ),
    Mutation(
        "what waits is read before it is consistent",
        (Edit("aws/table.py", "Table._pages", "True", "False"),),
        CALM,
    ),
    Mutation(
        "the outcome is read from `success` alone",
        (
            Edit(
                "domain/outcomes.py",
                "outcome_of",
                'if error_code == PARTIAL:\n    return "partial"',
                'return "loaded" if success else "failed"',
            ),
        ),
        "rows that are lost",
    ),
    Mutation(
        "finishing does not renew the lease",
        (
            Edit("steps/finishing.py", "announce", "leading", "lambda step: step"),
            Edit("steps/finishing.py", "finish_uploads", "leading", "lambda step: step"),
        ),
        harmless="what announcing and finishing write is conditional or idempotent, and close_batch asks for the lease",
    ),
    Mutation(
        "staging does not look at what was loaded",
        (Edit("steps/starting.py", "superseded", "upload.is_older_than(loaded)", "False"),),
        "an event that comes late",
    ),
    Mutation(
        "a duplicate is recorded again",
        (Edit("aws/ledger.py", "Ledger.record", '"attribute_not_exists(pk)"', '"attribute_not_exists(nothing)"'),),
    ),
    Mutation(
        "a file that nobody reads is loaded",
        (Edit("steps/admission.py", "", "protocol.select(selection.waiting, sources) or selection", "selection"),),
        "a file that nobody reads",
    ),
    Mutation(
        "a file that fails its check is loaded",
        (
            Edit(
                "steps/checking.py",
                "check",
                "if found:\n    return _unfit(services, lease, batch, found, now, several=looked_at > 1 or start > 0)",
                "",
            ),
        ),
        "files that fail their check",
    ),
    Mutation(
        "what the key holds now is checked, and another version staged",
        (Edit("steps/checking.py", "_problems", "latest = batch.upload is None", "latest = True"),),
        "tests/integration/test_check.py::test_exactly_the_version_that_is_staged_is_checked",
    ),
    Mutation(
        "what is remembered rejects without asking again",
        (Edit("steps/reading.py", "", "selection is None or selection.refusal is None", "selection is not None"),),
        "tests/integration/test_unread.py",
    ),
    Mutation(
        "a run begins outside its window",
        (Edit("domain/rules.py", "closed_until", "_next_opening(route.window, now)", "None"),),
        "an upload outside its window",
    ),
    Mutation(
        "the window is not looked at again before the request",
        (Edit("steps/starting.py", "_posted", "rules.closed_until(route, services.clock())", "None"),),
        "a run that fails as its window closes",
    ),
    Mutation(
        "tries in earlier windows do not count",
        (Edit("steps/admission.py", "_opened", "lane.put_back.get(batch.kin)", "None"),),
        "tests/integration/test_waits.py",
    ),
    Mutation(
        "half of a set is loaded",
        (Edit("domain/rules.py", "_wait", "route.prefix + name not in came", "not came"),),
        "a set that comes bit by bit",
    ),
    Mutation(
        "nobody is told of a late set",
        (Edit("steps/waiting.py", "waiting_by_rule", "_announce_incomplete(step, services, wait)", ""),),
        "a set that is late",
    ),
    Mutation(
        "the sweep does not see that a set is late",
        (
            Edit(
                "steps/sweeping.py",
                "_has_work",
                "planned.selection is not None or bool(rules.incomplete(lane.waits, planned.waits, now))",
                "planned.selection is not None",
            ),
        ),
        "a set that is late",
    ),
    Mutation(
        "a late set is announced again and again",
        (Edit("domain/rules.py", "notes", "Noted(wait.why, wait.since, told)", "Noted(wait.why, wait.since)"),),
        "tests/unit/test_rules.py",
    ),
    Mutation(
        "the sweep drains what waits for its window",
        (Edit("steps/sweeping.py", "_has_work", "if found.free:\n    return True", "return True"),),
        "tests/integration/test_waits.py",
    ),
    Mutation(
        "a route that waits holds back another in its lane",
        (
            Edit(
                "domain/rules.py",
                "plan",
                "return Plan(selection, tuple(waits))",
                "return Plan(None if waits else selection, tuple(waits))",
            ),
        ),
        "tests/unit/test_rules.py",
    ),
    Mutation(
        "a pause does not end by itself",
        (Edit("domain/protocol.py", "Lane.is_paused", "not 0 < self.paused_until <= now", "True"),),
        "tests/unit/test_rules.py",
    ),
    Mutation(
        "a refused secret is sent again",
        (Edit("anaplan/tokens.py", "Tokens._log_in", "self._reject(secret.version)", ""),),
        "a secret that is refused",
    ),
    Mutation(
        "two executions renew an OAuth log-in at once",
        (
            Edit(
                "aws/renewals.py",
                "Renewals.lease",
                "'attribute_not_exists(holder) OR holder = :me OR lease_until < :now'",
                "'attribute_not_exists(holder) OR holder = :me OR lease_until > :now OR lease_until < :now'",
            ),
        ),
        RENEWAL,
    ),
    Mutation(
        "an access token is used before its refresh token is stored",
        (Edit("anaplan/renewal.py", "Renewer._renew", "return self._save(unsaved)", "return grant.access"),),
        RENEWAL,
    ),
    Mutation(
        "a refresh token is sent that the secret holds only because it is read late",
        (
            Edit(
                "anaplan/renewal.py",
                "Renewer._turn",
                "before.stored is not None and before.spent == secret.version",
                "False",
            ),
        ),
        RENEWAL,
    ),
    Mutation(
        "a renewed log-in overwrites one that somebody stored",
        (
            Edit(
                "anaplan/renewal.py",
                "Renewer._save",
                "current.version != unsaved.secret.version and _is_newer(current, unsaved.secret)",
                "False",
            ),
        ),
        RENEWAL,
    ),
    Mutation(
        "what was about to be spent is not noted",
        (
            Edit(
                "anaplan/renewal.py", "Renewer._save", "replace(unsaved.renewal, stored=unsaved.successor)", "Renewal()"
            ),
        ),
        RENEWAL,
    ),
    Mutation(
        "a batch is started again forever",
        (Edit("domain/protocol.py", "", "MAX_ATTEMPTS = 5", "MAX_ATTEMPTS = 10**9"),),
        "tests/integration/test_nothing_sent.py",
    ),
    Mutation(
        "a due time is dealt with before everyone is told that it was missed",
        (
            Edit(
                "steps/expecting.py",
                "_settle",
                """
                _tell_missing(step, services, route, due_at, pending)
                services.standings.miss(route.name, due_at)
                """,
                """
                services.standings.miss(route.name, due_at)
                services.standings.settle(route.name, due_at)
                _tell_missing(step, services, route, due_at, pending)
                """,
            ),
        ),
        "tests/integration/test_expected.py",
    ),
    Mutation(
        "a load that ends while its route is told to be missing goes unnoticed",
        (
            Edit(
                "steps/expecting.py",
                "_settle",
                """
                if load is None:
                    load = load_for(services.ledger, route, due_at, since)
                    standing = services.standings.get(route.name)
                """,
                "",
            ),
        ),
        "tests/integration/test_expected.py",
    ),
    Mutation(
        "a late file counts as the next one",
        (Edit("steps/expecting.py", "_settle", "max(before, standing.used)", "before"),),
        "tests/integration/test_expected.py",
    ),
    Mutation(
        "every load is told to recover",
        (Edit("aws/standings.py", "Standings.recover_from_failure", 'self._update(route, "REMOVE failed")', ""),),
        "tests/integration/test_expected.py",
    ),
    Mutation(
        "what was missing comes unnoticed",
        (Edit("domain/standing.py", "Standing.recovers_by", "self.missed is not None", "False"),),
    ),
    Mutation(
        "a partial load ends a failure",
        (Edit("domain/standing.py", "Standing.recovers_by", 'outcome == "loaded"', 'outcome != "failed"'),),
        "tests/unit/test_standing.py",
    ),
    Mutation(
        "a held lane is silent where notify does not name it",
        (Edit("domain/routes.py", "Route.tells", 'outcome == "held"', "False"),),
        "tests/unit/test_routes.py",
    ),
    Mutation(
        "the slower of two pushes overwrites the faster",
        (Edit("aws/routes_store.py", "", '"version = :seen"', '"attribute_exists(pk) OR version = :seen"'),),
        "tests/unit/test_routes_store.py",
    ),
    Mutation(
        "a broken version of the routes leaves none in use",
        (Edit("aws/routes_in_use.py", "", "self.routes = self.routes or None", "self.routes = None"),),
        "tests/unit/test_routes_store.py",
    ),
    Mutation(
        "routes are never read again",
        (Edit("aws/routes_in_use.py", "", "FRESH_MS = 30_000", "FRESH_MS = 10**15"),),
        "tests/unit/test_routes_store.py",
    ),
    Mutation(
        "lost uploads are not looked for",
        (
            Edit(
                "steps/reconciling.py",
                "_Sweep._compared",
                "self._record(lost.candidates(listed, at.last, self.watched, known.covered, self.now))",
                "0",
            ),
        ),
        "events that never come",
    ),
    Mutation(
        "a lost upload has another identity than its event gives it",
        (Edit("aws/objects.py", "upload_of", 'None if version_id == "null" else version_id', "None"),),
        "events that come too late",
    ),
    Mutation(
        "without versions, a late event adds a run",
        (
            Edit(
                "aws/ledger.py",
                "Ledger.record_found",
                "if upload.version_id is None and not self._note_found(upload, now):\n    return False",
                "",
            ),
        ),
        "events that come too late",
    ),
    Mutation(
        "a round does not go on after its first page",
        (
            Edit(
                "steps/reconciling.py",
                "_Sweep._compared",
                "replace(known, at=following) if following else self._after(known, at.place)",
                "self._after(known, at.place)",
            ),
        ),
        "tests/integration/test_lost_uploads.py",
    ),
    Mutation(
        "what lay in the bucket before is loaded",
        (Edit("domain/lost.py", "Watched.of", "since.get(each, now)", "0"),),
        "tests/integration/test_lost_uploads.py",
    ),
    Mutation(
        "an event gets no time to arrive",
        (Edit("domain/lost.py", "_is_in_time", "now - GRACE_MS", "now"),),
        "tests/integration/test_lost_uploads.py",
    ),
    Mutation(
        "older data of a second is loaded over newer",
        (Edit("domain/lost.py", "candidates", "last == (upload.key, upload.event_time)", "False"),),
        "tests/integration/test_lost_uploads.py",
    ),
)


class Verdict(Struct, frozen=True):
    """Whether a mutation was noticed."""

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
    caught, by = _hunt("stormy", ROOT / "src", UNCHANGED_SECONDS)
    if caught:
        raise RuntimeError(f"the source fails as it is, so no mutation can be judged:\n{by}")
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
        for edit in mutation.edits:
            file = source / PACKAGE / edit.file
            file.write_text(mutated(file.read_text(), edit))
        caught, by = _hunt(mutation.hunt, source, seconds)
    return Verdict(mutation, caught, by, time.monotonic() - began)


def mutated(source: str, edit: Edit) -> str:
    """The source with the edit made; raises ValueError unless exactly one place in the edit's scope fits."""
    module = ast.parse(source)
    scope = _scope(module, edit)
    wanted = ast.parse(textwrap.dedent(edit.found)).body
    becomes = ast.parse(textwrap.dedent(edit.becomes)).body
    if len(wanted) == 1 and isinstance(wanted[0], ast.Expr) and len(becomes) == 1 and isinstance(becomes[0], ast.Expr):
        places = _expressions(scope, ast.unparse(wanted[0].value), becomes[0].value)
    else:
        places = _statements(scope, [ast.unparse(each) for each in wanted], becomes or [ast.Pass()])
    if len(places) != 1:
        raise ValueError(f"{edit.file}: {edit.scope} holds this {len(places)} times, not once:\n{edit.found.strip()}")
    places[0]()
    return ast.unparse(ast.fix_missing_locations(module))


def _scope(module: ast.Module, edit: Edit) -> ast.AST:
    scope: ast.AST = module
    for name in edit.scope.split(".") if edit.scope else ():
        inner = [
            node
            for node in ast.iter_child_nodes(scope)
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
        ]
        if len(inner) != 1:
            raise ValueError(f"{edit.file} defines {edit.scope} {len(inner)} times, not once: correct the mutation")
        scope = inner[0]
    return scope


def _expressions(scope: ast.AST, wanted: str, becomes: ast.expr) -> list[Callable[[], None]]:
    """For every such expression in the scope, what puts the other one there."""
    places: list[Callable[[], None]] = []
    for node in ast.walk(scope):
        for name, value in ast.iter_fields(node):
            for at, each in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(each, ast.expr) or ast.unparse(each) != wanted:
                    continue
                if isinstance(value, list):
                    places.append(partial(value.__setitem__, at, becomes))
                else:
                    places.append(partial(setattr, node, name, becomes))
    return places


def _statements(scope: ast.AST, wanted: list[str], becomes: list[ast.stmt]) -> list[Callable[[], None]]:
    """For every such sequence of statements in the scope, what puts the others there."""
    places: list[Callable[[], None]] = []
    for node in ast.walk(scope):
        for _name, value in ast.iter_fields(node):
            if not isinstance(value, list) or not all(isinstance(each, ast.stmt) for each in value):
                continue
            written = [ast.unparse(each) for each in value]
            for at in range(len(value) - len(wanted) + 1):
                if written[at : at + len(wanted)] == wanted:
                    places.append(partial(value.__setitem__, slice(at, at + len(wanted)), becomes))
    return places


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
