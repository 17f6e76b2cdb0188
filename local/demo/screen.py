"""The demo's output: colours and a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from anaplan_autoload.aws.ledger import RunRecord
from anaplan_autoload.report.mail import email_text
from anaplan_autoload.report.report import Report
from anaplan_autoload.report.subject import subject
from local.aws.journal import Metric
from local.demo import story
from local.demo.timeline import Happening, Kind, short
from local.demo.verdict import Finding

PLAIN_WIDTH = 110
INDENT = "  "
STYLES: dict[Kind, str] = {
    "upload": "bold cyan",
    "function": "blue",
    "ledger": "blue",
    "anaplan": "magenta",
    "message": "bold",
}
OUTCOMES = {"loaded": "green", "partial": "yellow", "failed": "red"}
PARTS = (
    ("real", "function and template.yaml; AWS's Lambda runtime and durable emulator"),
    ("moto", "stands for S3, DynamoDB, SNS, SQS, Secrets Manager and CloudFormation"),
    ("simulator", "stands for Anaplan: runs read the file from S3, and import its rows"),
    (
        "quicker",
        f"runs of {story.RUN_SECONDS:g} to {story.LONG_RUN_SECONDS:g} s, looked at every "
        f"{story.POLL_SECONDS[0]} to {story.POLL_SECONDS[1]} s (on AWS: 2 to 60 s)",
    ),
    ("route", f"{story.PREFIX}*.csv runs the integration {story.INTEGRATION} (load = latest)"),
)


class Screen:
    """Where the demo prints."""

    def __init__(self, console: Console | None = None) -> None:
        """`console` None: standard output."""
        self._console = console or _console()
        self._status: Status | None = None
        self._began: float | None = None
        self._latest = 0.0

    def introduce(self) -> None:
        """Say what is real, what stands for what, and what is quicker than on AWS."""
        self._head("Autoload for Anaplan, on this machine")
        for name, text in PARTS:
            self._line(Text.assemble((f"{name:>9}  ", "bold"), text))
        self._line(Text())

    @contextmanager
    def live(self, text: str) -> Iterator[None]:
        """Keep a line at the bottom of a terminal that says what is happening; elsewhere do nothing."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(text) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    def show(self, text: str) -> None:
        """Replace the live line."""
        if self._status is not None:
            self._status.update(Text(text, style="dim"))

    def tell(self, happening: Happening) -> None:
        """Add a line to the timeline. Its times count from its first line, and never go back.

        A batch is dated by the start of the step that claims it, which may be before its leader was seen.
        """
        if self._began is None:
            self._began = self._latest = happening.at
        self._latest = max(self._latest, happening.at)
        style = OUTCOMES.get(happening.outcome, STYLES[happening.kind])
        self._line(
            Text.assemble(
                (f"{self._latest - self._began:5.1f} s  ", "dim"),
                (f"{happening.kind:<10}", style),
                (happening.text, style if happening.outcome else ""),
            )
        )

    def mail(self, told: Report) -> None:
        """Show a received message as mail: moto sends no mail, so it is written here."""
        self._head(f"The {told.outcome} message as mail, written from what was received: moto delivers to queues only")
        self._block(f"Subject: {subject(told)}\n\n{email_text(told)}")

    def messages(self, reports: Sequence[Report]) -> None:
        """Show what subscribers got."""
        self._head("Messages that a subscriber of the SNS topic got")
        rows = [
            (one.outcome, one.route, short(one.run_id), str(one.uploads_total), str(one.rows_rejected), one.message)
            for one in reports
        ]
        self._table(("outcome", "route", "run", "uploads", "rows rejected", "message"), rows)

    def rejected(self, name: str, rows: str) -> None:
        """Show the file of rejected rows that the function left in S3."""
        self._head(f"Rejected rows, in {name} under that address")
        self._block(rows)

    def metrics(self, metrics: Sequence[Metric]) -> None:
        """Show what CloudWatch would show of the routes: the values that stand in the function's log."""
        self._head("Metrics of the routes that the function wrote for CloudWatch")
        values: dict[tuple[str, str], list[str]] = defaultdict(list)
        for metric in sorted(metrics, key=lambda metric: metric.time):
            if route := metric.dimensions.get("route"):
                values[metric.name, route].append(f"{metric.value:g}")
        rows = [(name, route, "  ".join(each)) for (name, route), each in values.items()]
        self._table(("metric", "route", "values, oldest first"), rows)

    def history(self, history: Sequence[RunRecord]) -> None:
        """Show the ledger's history of loads."""
        self._head("Load history in the ledger")
        rows = [
            (
                run.outcome,
                run.route,
                short(run.id),
                run.started_at[11:19] if run.started_at else "",
                run.ended_at[11:19],
                str(run.uploads_total),
                "yes" if run.announced else "no",
                run.message,
            )
            for run in history
        ]
        self._table(("outcome", "route", "run", "started", "ended", "uploads", "announced", "message"), rows)

    def verdict(self, findings: Sequence[Finding]) -> None:
        """Show which expectations were met."""
        self._head("Expected, and seen")
        for finding in findings:
            mark = ("FAILED", "bold red") if finding.problems else ("    ok", "green")
            self._line(Text.assemble(mark, f"  {finding.expected}"))
            for problem in finding.problems:
                self._line(Text(f"        {problem}", style="red"))

    def failed(self, text: str) -> None:
        """Say why the demo cannot go on."""
        self._line(Text(text, style="bold red"))

    def _head(self, text: str) -> None:
        self._line(Text(f"\n{text}" if self._began is not None else text, style="bold"))

    def _block(self, text: str) -> None:
        width = min(self._console.width, PLAIN_WIDTH) - len(INDENT)
        for line in text.rstrip().splitlines():
            wrapped = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
            self._line(Text("\n".join(INDENT + part for part in wrapped)))

    def _line(self, text: Text) -> None:
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def _table(self, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for title in titles:
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=OUTCOMES.get(cell, "")) for cell in row))
        if self._console.is_terminal:
            self._console.print(table)
            return
        with self._console.capture() as captured:
            self._console.print(table)
        for line in captured.get().splitlines():
            self._line(Text(line.rstrip()))  # files are read by people who mind spaces at the ends of lines


def _console() -> Console:
    """Standard output, as wide as a page if it is not a terminal; NO_COLOR is respected by rich."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)
