"""`python -m docs.dashboard`: write the dashboard's body into `template.yaml`, from its description in the code."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

from anaplan_autoload_cli.dashboard.body import for_template

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
BODY = re.compile(r"(?<=      DashboardBody: !Sub \|\n)(?:        .*\n)+")


def with_dashboard(template: str) -> str:
    """The template's text with the dashboard's body as it has to be now."""
    found, count = BODY.subn(lambda _: indent(for_template(), " " * 8), template)
    if count != 1:
        raise ValueError(f"the template has {count} bodies of a dashboard, not one")
    return found


if __name__ == "__main__":
    TEMPLATE.write_text(with_dashboard(TEMPLATE.read_text(encoding="utf-8")), encoding="utf-8")
