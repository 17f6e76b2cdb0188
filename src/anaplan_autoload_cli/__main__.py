"""Where the command line begins: `anaplan-autoload`, and `python -m anaplan_autoload_cli`."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

INTERRUPTED = 130
"""As `output.INTERRUPTED`, which is not imported yet when it is needed."""


def main() -> None:
    """Run the command line. Ctrl-C and a closed pipe end it without a traceback, also before all of it is imported."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _end_quietly()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # typer and rich turn it into an exit with code 1
            _end_quietly()
        raise


def _run() -> None:
    _open_streams()
    from anaplan_autoload_cli import commands  # imported here, because it takes long enough to be interrupted

    try:
        if len(sys.argv) == 2 and sys.argv[1] in commands.HELP:
            sys.stdout.write(f"{commands.overview()}\n")
            return
        from anaplan_autoload_cli import app

        app.main()
    finally:
        sys.stdout.flush()  # now, because an error about a closed pipe could not be caught when the interpreter ends


def _open_streams() -> None:
    """Write nowhere to what the caller has closed, and escape what the caller's encoding does not have."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  (open until the end)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _end_quietly() -> None:
    """End without an error, as in `loads | head -1`: the reader has read enough, and the rest is dropped."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    sys.exit(0)


if __name__ == "__main__":
    main()
