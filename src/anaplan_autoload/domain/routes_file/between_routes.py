"""Conflicts between routes: loops, shared lanes, files that another route takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from anaplan_autoload.domain.routes import Route, Routes
from anaplan_autoload.domain.routes_file.mistakes import Mistake, quote


def repeated_names(names: Sequence[object]) -> list[Mistake]:
    """`names`: of all routes in the file's order, valid or not, as written."""
    numbers: defaultdict[str, list[str]] = defaultdict(list)
    for number, name in enumerate(names, start=1):
        if isinstance(name, str):
            numbers[name].append(str(number))
    return [
        Mistake(
            f"{len(shared)} routes have this name (numbers {', '.join(shared)})",
            "Rename all but one.",
            "name",
            name,
            route=name,
        )
        for name, shared in numbers.items()
        if len(shared) > 1
    ]


def conflicts(routes: tuple[Route, ...], reports: tuple[str, str] | None) -> list[Mistake]:
    """What valid routes must not do to each other; `reports` as for `parsing.load`."""
    mistakes = [mistake for route in routes for mistake in _staging_loops(route, routes)]
    if reports is not None:
        mistakes += [mistake for route in routes for mistake in _report_loop(route, *reports)]
    mistakes += [mistake for pair in _rivals(routes) for mistake in _rivalry(*pair)]
    return mistakes + _shared_targets(routes) + _borrowed_lanes(routes) + _taken_needs(routes)


def _staging_loops(route: Route, routes: tuple[Route, ...]) -> Iterator[Mistake]:
    """A staged copy is an upload too, to the bucket that the original came from."""
    if route.stage_to is None:
        return
    for other in routes:
        if _share_a_bucket(route, other) and other.covers(route.stage_to):
            where = "lies under its own prefix" if other is route else f"matches route {quote(other.name)}"
            yield Mistake(
                f"stage_to {quote(route.stage_to)} {where}; every copy would trigger another load",
                "Use a key outside every route's prefix.",
                "stage_to",
                route.stage_to,
                route.name,
            )


def _report_loop(route: Route, bucket: str, prefix: str) -> Iterator[Mistake]:
    """A suffix does not prevent the loop, because the names of a report's files are not known here."""
    overlap = prefix.startswith(route.prefix) or route.prefix.startswith(prefix)
    if overlap and route.admits(bucket):
        yield Mistake(
            f"its prefix {quote(route.prefix)} includes the reports in s3://{bucket}/{prefix}; every report would "
            "trigger a load",
            "Lengthen it, or name the route's bucket.",
            "prefix",
            route.prefix,
            route.name,
        )


def _rivals(routes: tuple[Route, ...]) -> Iterator[tuple[Route, Route]]:
    """The pairs that share a prefix or a `stage_to`, in the file's order. Of hundreds of routes few do."""
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, route in enumerate(routes):
        groups["prefix", route.prefix].append(number)
        if route.stage_to is not None:
            groups["stage_to", route.stage_to].append(number)
    for one, two in sorted({pair for numbers in groups.values() for pair in combinations(numbers, 2)}):
        yield routes[one], routes[two]


def _rivalry(one: Route, two: Route) -> Iterator[Mistake]:
    """What two routes must not share."""
    if (one.prefix, one.suffix, one.bucket) == (two.prefix, two.suffix, two.bucket):
        yield Mistake(
            f"it has the prefix, suffix and bucket of route {quote(one.name)}, so either could load it",
            "Change one of the three, or remove a route.",
            "prefix",
            two.prefix,
            two.name,
        )
    staged_alike = one.stage_to is not None and one.stage_to == two.stage_to and _share_a_bucket(one, two)
    if staged_alike and one.lane_id != two.lane_id:
        yield Mistake(
            f"it stages to {quote(two.stage_to or '')} like route {quote(one.name)} but in another lane, so one "
            "would overwrite what the other is loading",
            "Use another stage_to, or give both the same lane.",
            "stage_to",
            two.stage_to,
            two.name,
        )


def _share_a_bucket(one: Route, two: Route) -> bool:
    return one.bucket is None or two.bucket is None or one.bucket == two.bucket


def _shared_targets(routes: tuple[Route, ...]) -> list[Mistake]:
    """CloudWorks runs an integration once at a time, so one integration must not be in two lanes."""
    first: dict[str, Route] = {}
    return [
        Mistake(
            f"it runs {route.target} in lane {quote(route.lane_id)}, but route {quote(other.name)} in lane "
            f"{quote(other.lane_id)}; its runs would overlap",
            "Give both the same lane.",
            "lane",
            route.lane,
            route.name,
        )
        for route in routes
        if (other := first.setdefault(route.target, route)).lane_id != route.lane_id
    ]


def _borrowed_lanes(routes: tuple[Route, ...]) -> list[Mistake]:
    """A lane without a name has its target's id, so a lane with such a name would be shared by accident."""
    owners = {route.target: route for route in routes}
    return [
        Mistake(
            f"its lane {quote(lane)} is the id of what route {quote(owner.name)} runs",
            "Give the lane another name, in every route that shares it.",
            "lane",
            lane,
            route.name,
        )
        for route in routes
        if (lane := route.lane) and (owner := owners.get(lane)) and owner.target != route.target
    ]


def _taken_needs(routes: tuple[Route, ...]) -> list[Mistake]:
    """Needed files that a closer route takes, so that they never reach the route that needs them."""
    if not any(route.needs for route in routes):
        return []
    all_of_them = Routes(routes)
    return [
        Mistake(
            f"needs contains {quote(name)}, but route {quote(taker.name)} is closer to {quote(route.prefix + name)} "
            "and takes it",
            "Correct one of the two routes.",
            "needs",
            name,
            route.name,
        )
        for route in routes
        for name in route.needs
        if (taker := all_of_them.match(route.bucket or "", route.prefix + name)) is not None and taker != route
    ]
