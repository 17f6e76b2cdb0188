"""What the keys of one route require of each other."""

from __future__ import annotations

from msgspec import convert

from anaplan_autoload.domain.routes import Route
from anaplan_autoload.domain.routes_file.mistakes import Mistake, quote
from anaplan_autoload.domain.routes_file.values import KEY_BYTES


def misfits(table: dict[str, object], values: dict[str, object]) -> list[Mistake]:
    """Keys that are missing or do not go together. `table` is as written, `values` holds what is valid of it."""
    return _missing(table) + _load_mistakes(table, values) + _exclude_mistakes(values) + _needs_mistakes(table, values)


def _missing(table: dict[str, object]) -> list[Mistake]:
    mistakes = [
        Mistake(f"{key} is missing", f"Add it, as in {example}.", key)
        for key, example in (
            ("name", 'name = "accounts"'),
            ("prefix", 'prefix = "incoming/accounts/"'),
        )
        if key not in table
    ]
    targets = {"integration", "flow"} & table.keys()
    if not targets:
        remedy = 'Add integration = "…" or flow = "…", the id of what loads its uploads.'
        mistakes.append(Mistake("it runs nothing", remedy))
    if len(targets) == 2:
        remedy = "Keep the one that loads its uploads."
        mistakes.append(Mistake("it names both an integration and a flow", remedy))
    return mistakes


def _load_mistakes(table: dict[str, object], values: dict[str, object]) -> list[Mistake]:
    """`stage_to` and `load = "each"` only work together."""
    if "load" in table and "load" not in values:
        return []  # the value is invalid, which was reported already
    each = values.get("load", "latest") == "each"
    if each and "stage_to" not in table:
        remedy = 'Name the key that its integration reads: stage_to = "source/…".'
        return [Mistake('load = "each" needs a stage_to', remedy, "stage_to")]
    if not each and "stage_to" in table:
        reason = 'stage_to is set, but load = "latest" copies nothing'
        return [Mistake(reason, 'Set load = "each", or leave stage_to out.', "stage_to", table["stage_to"])]
    return []


def _exclude_mistakes(values: dict[str, object]) -> list[Mistake]:
    """Patterns in `exclude` that match every upload with the route's suffix."""
    suffix, patterns = values.get("suffix", ""), values.get("exclude", [])
    if not isinstance(suffix, str) or not suffix or not isinstance(patterns, list):
        return []
    name = suffix.rpartition("/")[2]
    return [
        Mistake(
            f"exclude contains {quote(pattern)}, which ignores every upload with the suffix {quote(suffix)}",
            "Correct one of the two.",
            "exclude",
            pattern,
        )
        for pattern in patterns
        if pattern == name or (pattern.startswith("*") and name.endswith(pattern.lstrip("*")))
    ]


def _needs_mistakes(table: dict[str, object], values: dict[str, object]) -> list[Mistake]:
    """`needs` that cannot be met, and `within` without it."""
    if "needs" not in table:
        remedy = "Add needs = [...], or leave within out."
        return [Mistake("within is set, but needs is not", remedy, "within")] * ("within" in table)
    if values.get("load") == "each":
        reason = 'needs is set, but load = "each" loads every file by itself'
        return [Mistake(reason, 'Set load = "latest", or leave needs out.', "needs")]
    route = convert({"name": "", "prefix": "", **values}, Route)
    return [mistake for name in route.needs if (mistake := _why_never(route, name))]


def _why_never(route: Route, name: str) -> Mistake | None:
    """Why a needed file would never count as an upload of its route; None if it would."""
    key = route.prefix + name
    held = f"needs contains {quote(name)}"
    if len(key.encode(errors="surrogatepass")) > KEY_BYTES:
        reason = f"{held}, whose key is longer than {KEY_BYTES} bytes, the limit in S3"
        return Mistake(reason, "Shorten it.", "needs", name)
    if not route.covers(key):
        reason = f"{held}, but the route takes only keys that end with {quote(route.suffix)}"
        return Mistake(reason, "Correct one of the two.", "needs", name)
    if pattern := route.excluded_by(key):
        reason = f"{held}, but names like {quote(pattern)} are ignored"
        return Mistake(reason, "Rename the file.", "needs", name)
    return None
