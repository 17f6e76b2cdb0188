"""The first route, from what the integration reads."""

from __future__ import annotations

import re
from os.path import commonpath
from typing import TYPE_CHECKING

from anaplan_autoload.domain.contents import toml_text
from anaplan_autoload.domain.routes_file.parsing import parse
from anaplan_autoload.domain.sources import sources_of

if TYPE_CHECKING:
    from anaplan_autoload.domain.tenant import Integration

SAMPLE_ID = "a2fb43a93bc84bcb9f37dd59a75eb940"
"""The integration's id in the sample `routes.toml` that comes with the project."""
_SHOWN = 40


class NoRoute(ValueError):
    """No route can be made for this integration. The text says why, and what to do."""


def keys_of(integration: Integration) -> list[str]:
    """The keys that the integration reads from S3; raises `NoRoute` if there are none, or they are not known."""
    if integration.kind == "export":
        raise NoRoute(f"{integration.name!r} is an export: it reads nothing from S3. Name an import or a process.")
    sources = sources_of([integration])
    if sources is None:
        raise NoRoute(
            f"CloudWorks does not say which fixed key {integration.name!r} reads. Write the route by hand, as "
            "docs/routes.md shows."
        )
    return [source.key.removeprefix("/") for source in sources]


def route_for(integration: Integration) -> str:
    """The route as TOML: uploads to the keys that the integration reads run it. Raises `NoRoute`."""
    keys = keys_of(integration)
    prefix = prefix_of(keys)
    if not prefix:
        raise NoRoute(
            f"{integration.name!r} reads files in several folders: {', '.join(keys)}. Write a route for each by hand."
        )
    text = (
        f"# Uploads to {', '.join(keys)} run the integration {_commented(integration.name)}.\n"
        "[[route]]\n"
        f'name        = "{_name(integration.name)}"\n'
        f"prefix      = {toml_text(prefix)}\n"
        f'integration = "{integration.id}"\n'
        'load        = "latest"\n'
        f"{_needs(keys, prefix)}"
    )
    parse(text, "routes.toml")  # what is not accepted later must not be written
    return text


def _needs(keys: list[str], prefix: str) -> str:
    """For several files, the setting `needs` as a comment, because it is not known whether the files come together."""
    if len(keys) == 1:
        return ""
    names = ", ".join(toml_text(key.removeprefix(prefix)) for key in keys)
    return f"# needs     = [{names}]  # take away the # to run only when each of these files has come\n"


def prefix_of(keys: list[str]) -> str:
    """The folder of all keys, or the key itself if there is only one and it is in no folder; empty otherwise."""
    folders = {key.rpartition("/")[0] for key in keys}
    common = commonpath(folders)
    return f"{common}/" if common else keys[0] if len(keys) == 1 else ""


def _name(text: str) -> str:
    """A route's name: small letters, digits and dashes."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_SHOWN].strip("-")
    return name or "first"


def _commented(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
