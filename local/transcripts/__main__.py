"""`python -m local.transcripts`: 0 when the page was written, 1 when something went otherwise, 130 when interrupted."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from local.aws.processes import StartFailed
from local.aws.stack import ROOT, Stack
from local.transcripts.page import Ended, PageFailed, played
from local.transcripts.stage import LaptopStage, options

SOURCE = Path(__file__).with_name("operations.md")
PAGE = ROOT / "docs/operations.md"
LOGS = ROOT / ".local/transcripts"
FAILED, INTERRUPTED = 1, 130


class TellingStage(LaptopStage):
    """Tells on stderr what is being done, as it takes a while."""

    def run(self, line: str, answers: tuple[str, ...]) -> Ended:
        """Run a command on the terminal."""
        print(f"$ {line}", file=sys.stderr, flush=True)
        return super().run(line, answers)


def main() -> int:
    """Play the page and write it; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory() as directory, Stack(options(LOGS)) as stack:
            page = played(SOURCE.read_text(encoding="utf-8"), TellingStage(stack, Path(directory)))
    except (PageFailed, StartFailed, TimeoutError, FileNotFoundError) as error:
        print(f"{error}\n{PAGE.name} was left as it is; the parts' logs are in {LOGS}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"Interrupted; {PAGE.name} was left as it is. Everything that was started has ended.", file=sys.stderr)
        return INTERRUPTED
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
