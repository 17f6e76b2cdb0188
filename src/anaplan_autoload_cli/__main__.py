"""Where the command line begins: `anaplan-autoload`, and `python -m anaplan_autoload_cli`."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""As `output.INTERRUPTED`, which is not imported yet when it is needed."""


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also before all of it is imported."""
    try:
        from anaplan_autoload_cli import app  # here, as it takes long enough to be interrupted

        app.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
