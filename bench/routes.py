"""What hundreds of routes cost: how long a push takes, an upload's match, and a sandbox's first look.

The push is the command line's own, with every check: it asks Anaplan about each integration. Times are processor time,
which includes what moto and the simulator need in this process to answer.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from anaplan_autoload.aws.routes_in_use import RoutesInUse
from anaplan_autoload.domain.routes_file.parsing import parse
from bench.markdown import table
from tests.autoload import BUCKET, Autoload
from tests.command_line import run

ROUTES = 500
ROUNDS = 5
MATCHES = 2_000
PUSH_LIMIT_SECONDS = 5.0
MATCH_LIMIT_MS = 0.1


def main() -> None:
    """Print the table; exits with an error when a push or a match takes longer than its limit."""
    with TemporaryDirectory() as directory, arranged(Path(directory)) as autoload:
        ids = autoload.seed(**{f"list_{number:03}": key(number) for number in range(ROUTES)})
        text = "".join(route(number, ids[f"list_{number:03}"]) for number in range(ROUTES))
        push_seconds = [pushed(autoload, Path(directory), f"{text}# {number}\n") for number in range(ROUNDS)]
        first_look = [seconds(lambda: RoutesInUse(autoload.store, None).refresh(0)) for _ in range(ROUNDS)]
        later_look = [looked_again(autoload) for _ in range(ROUNDS)]
        current = autoload.store.current()
        assert current is not None  # noqa: S101  (it was pushed above)
        size = sum(len(value.get("B", b"")) for value in raw(autoload).values())
    routes = parse(text, "routes.toml")
    keys = [key(number % ROUTES) for number in range(MATCHES - MATCHES // 10)] + ["elsewhere/x.csv"] * (MATCHES // 10)
    match_ms = (
        1000 * median(seconds(lambda: [routes.match(BUCKET, each) for each in keys]) for _ in range(ROUNDS)) / MATCHES
    )
    push = median(push_seconds)
    table(
        f"{ROUTES} routes, {len(text) / 1024:.0f} KB of text (medians of {ROUNDS})",
        ("what", "takes"),
        [
            ("`routes push`, with every check", f"{push:.1f} s"),
            ("matching one upload", f"{match_ms:.4f} ms"),
            ("the first look of a sandbox: read, decompress, understand", f"{1000 * median(first_look):.0f} ms"),
            ("every later look, after 30 s", f"{1000 * median(later_look):.0f} ms"),
            ("stored in an item, of 400 KB", f"{size / 1024:.0f} KB"),
        ],
    )
    if push > PUSH_LIMIT_SECONDS or match_ms > MATCH_LIMIT_MS:
        sys.exit(f"a push may take {PUSH_LIMIT_SECONDS:g} s and a match {MATCH_LIMIT_MS:g} ms")


def key(number: int) -> str:
    """An object's key under a route's prefix; prefixes differ in length."""
    return f"incoming/{'deep/' * (number % 7)}region-{number % 9}/list-{number:03}/file.csv"


def route(number: int, integration: str) -> str:
    """A route's table, with most keys there are, and a comment."""
    return (
        f'# Loaded for team {number % 17}.\n[[route]]\nname        = "list-{number:03}"\n'
        f'prefix      = "{key(number).removesuffix("file.csv")}"\nsuffix      = ".csv"\n'
        f'integration = "{integration}"\nload        = "latest"\nsettle      = "30s"\n'
        f'lane        = "model-{number % 40}"\nretries     = 2\noverdue     = "2h"\n\n'
    )


@contextmanager
def arranged(directory: Path) -> Iterator[Autoload]:
    """The function's surroundings, and an environment that leads the command line to them."""
    with ExitStack() as stack:
        os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-west-1"}
        yield stack.enter_context(Autoload(directory))


def pushed(autoload: Autoload, directory: Path, text: str) -> float:
    """Seconds of processor time that a push takes; exits where it fails."""
    file = directory / "routes.toml"
    file.write_text(text)
    settings = autoload.settings()
    environment = {
        "ANAPLAN_AUTH_URL": settings.auth_url,
        "ANAPLAN_SECRET_ID": settings.secret_id,
        "CLOUDWORKS_URL": settings.cloudworks_url,
        "LEDGER_TABLE": settings.ledger_table,
        "INBOX_BUCKET": BUCKET,
        "AWS_REGION": "eu-west-1",
    }
    started = time.process_time()
    ended = run("routes", "push", str(file), "--yes", environment=environment)
    if ended.code or "skipped" in ended.out:
        sys.exit(f"the push failed:\n{ended.out[-2000:]}{ended.err[-2000:]}")
    return time.process_time() - started


def looked_again(autoload: Autoload) -> float:
    """Processor seconds of a look that finds no new version."""
    known = RoutesInUse(autoload.store, None)
    known.refresh(0)
    return seconds(lambda: known.refresh(60_000))


def raw(autoload: Autoload) -> dict[str, dict[str, bytes]]:
    """The item of the routes in use, as it is stored."""
    [item] = [item for item in autoload.dump_table() if item["sk"] == {"S": "current"}]
    return item


def seconds(work: Callable[[], object]) -> float:
    """How much processor time something takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
