"""Checks routes against Anaplan: each integration or flow must exist, and read the keys of its route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.anaplan.errors import NotFound, Refused
from anaplan_autoload.domain.sources import Source as FileRead
from anaplan_autoload.domain.sources import is_for_markers, sources_of
from anaplan_autoload.domain.tenant import S3
from anaplan_autoload_cli.service.findings import Finding, failed, ok, skipped, warning
from anaplan_autoload_cli.times import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anaplan_autoload.anaplan.cloudworks import CloudWorks
    from anaplan_autoload.domain.routes import Route, Routes
    from anaplan_autoload.domain.tenant import Connection, End, Integration
    from anaplan_autoload_cli.cloudworks.workspace import Workspace

STEPS_OF_A_FLOW = 2


class AnaplanTenant:
    """What the function's user sees of Anaplan, each part asked for once."""

    def __init__(self, cloudworks: CloudWorks, workspace: Workspace) -> None:
        self._cloudworks = cloudworks
        self._workspace = workspace
        self._details: dict[str, Integration] = {}
        self._connections: dict[str, Connection] | None = None

    def integration(self, integration_id: str) -> Integration:
        """An integration with its jobs; raises `NotFound` or `Refused` as CloudWorks does."""
        if integration_id not in self._details:
            self._details[integration_id] = self._workspace.details(integration_id)
        return self._details[integration_id]

    def connection(self, connection_id: str | None) -> Connection | None:
        """A connection; None where it is not seen."""
        if self._connections is None:
            self._connections = {found.id: found for found in self._workspace.connections()}
        return self._connections.get(connection_id or "")

    def flow_integrations(self, flow_id: str) -> list[str]:
        """The ids of the integrations that a flow runs."""
        return [step.integration_id for step in self._cloudworks.flow(flow_id).steps if step.integration_id]

    def all_ids(self) -> list[str]:
        """Every integration's id."""
        return [found.id for found in self._workspace.integrations()]


class Source(Struct, frozen=True):
    """A file that an integration reads, and the connection it reads it through."""

    file: str
    bucket: str | None
    """None where it cannot be told."""
    connection: Connection | None


def check_routes(routes: Routes, tenant: AnaplanTenant, buckets: Sequence[str]) -> Iterator[Finding]:
    """Check every route, then all exports; `buckets` are those that uploads come from, as far as known."""
    for route in routes:
        yield from check_route(route, tenant, buckets)
    yield from check_exports(routes, tenant)


def check_route(route: Route, tenant: AnaplanTenant, buckets: Sequence[str]) -> Iterator[Finding]:
    """Whether what the route runs is there, can be seen, and reads what the route brings."""
    about = f"route {route.name}"
    try:
        ids = [route.integration] if route.integration else tenant.flow_integrations(route.flow or "")
        integrations = [tenant.integration(each) for each in ids]
    except (NotFound, Refused) as error:
        what = "integration" if route.integration else "flow"
        yield failed(
            about,
            f"{what} {route.target} does not exist, or is not visible to this user ({error.status})",
            f"Correct its id in the routes file, or give the user access to its workspace and the role of its creator. "
            f"See: anaplan-autoload {what}s list",
        )
        return
    findings = [finding for each in integrations for finding in _check_connections(about, each, tenant)]
    sources = [each for one in integrations for each in _sources(one, tenant)]
    if sources_of(integrations) is None and any(one.jobs is None for one in integrations):
        findings.append(skipped(about, "CloudWorks does not say which files it reads, so no upload is rejected"))
    else:
        findings += _check_sources(route, about, sources, buckets)
    if route.flow and len(ids) < STEPS_OF_A_FLOW:
        findings.append(
            failed(about, f"flow {route.flow} has fewer than two steps", "Add steps: CloudWorks requires two.")
        )
    yield from findings or [ok(about, f"runs {_names(integrations)}, which reads {_files(sources)}{_else(route)}")]


def check_exports(routes: Routes, tenant: AnaplanTenant) -> Iterator[Finding]:
    """Whether any export lands under a route: each would trigger a load, which may export again."""
    about = "exports"
    found = False
    seen = 0
    for integration in map(tenant.integration, tenant.all_ids()):
        for folder, bucket in _targets(integration, tenant):
            seen += 1
            for route in routes:
                if _lands_under(route, folder, bucket):
                    found = True
                    yield failed(
                        about,
                        f"{integration.name!r} exports to {_url(bucket, folder)}, under route {route.name}: "
                        "every export triggers a load",
                        "Export to a folder outside every route's prefix.",
                    )
    if not found:
        yield ok(about, f"{count(seen, 'export')} visible, none under a route")


def _check_connections(about: str, integration: Integration, tenant: AnaplanTenant) -> Iterator[Finding]:
    ids = {end.connection_id for job in integration.jobs or () for end in job.sources if end.type == S3}
    for connection_id in sorted(each for each in ids if each):
        connection = tenant.connection(connection_id)
        if connection is None:
            yield warning(
                about,
                f"the connection of {integration.name!r} is not visible to this user, or deleted",
                "See that it exists: anaplan-autoload connections list, as the user who made it.",
            )
        elif connection.trouble:
            yield failed(about, f"connection {connection.name!r} does not work", f"{_sentence(connection.trouble)}")


def _check_sources(route: Route, about: str, sources: Sequence[Source], buckets: Sequence[str]) -> Iterator[Finding]:
    """With `load = "each"` the file that is read is `stage_to`; else one under the route."""
    if not sources:
        yield failed(about, "its integration reads no file from S3", "Name an integration from S3 to Anaplan.")
        return
    fitting = [source for source in sources if _reads(route, source)]
    if not fitting and is_for_markers(route, tuple(FileRead(source.file) for source in sources)):
        yield ok(about, f"empty marker files run it; it reads {_files(sources)}. Other uploads are rejected")
    elif not fitting:
        wanted = f"stage_to {_quoted(route.stage_to)}" if route.stage_to else f"a key {_pattern(route)}"
        yield failed(
            about,
            f"the {'flow' if route.flow else 'integration'} reads {_files(sources)}, not {wanted}: "
            "every upload would be rejected",
            "Give the integration that source file, or correct the route.",
        )
    for source in fitting:
        yield from _check_bucket(route, about, source, buckets)


def _check_bucket(route: Route, about: str, source: Source, buckets: Sequence[str]) -> Iterator[Finding]:
    expected = [route.bucket] if route.bucket else list(buckets)
    if source.bucket is None or not expected:
        why = "which bucket its connection opens" if source.bucket is None else "which buckets uploads come from"
        yield skipped(about, f"it is not known {why}, so the buckets were not compared", "Name --inbox or --stack.")
    elif source.bucket not in expected:
        yield failed(
            about,
            f"the integration reads from bucket {source.bucket}, but uploads come to {', '.join(expected)}",
            "Use a connection to the bucket of the uploads, or set the route's bucket.",
        )


def _reads(route: Route, source: Source) -> bool:
    if route.stage_to:
        return FileRead(source.file).names(route.stage_to)
    keys = (source.file, source.file.removeprefix("/"))
    return any(route.covers(key) and not route.excluded_by(key) for key in keys)


def _sources(integration: Integration, tenant: AnaplanTenant) -> Iterator[Source]:
    for job in integration.jobs or ():
        for end in job.sources:
            if end.type == S3 and end.file:
                yield Source(end.file, _bucket(end, tenant), tenant.connection(end.connection_id))


def _targets(integration: Integration, tenant: AnaplanTenant) -> Iterator[tuple[str, str | None]]:
    """The folders, and their buckets, that an integration writes to."""
    for job in integration.jobs or ():
        for end in job.targets:
            if end.type == S3 and end.file is not None:
                yield end.file.removeprefix("/"), _bucket(end, tenant)


def _bucket(end: End, tenant: AnaplanTenant) -> str | None:
    connection = tenant.connection(end.connection_id)
    return end.bucket_name or (connection.bucket if connection else None)


def _lands_under(route: Route, folder: str, bucket: str | None) -> bool:
    """The name of an exported file is the action's, so it may have any suffix."""
    prefix = folder if folder.endswith("/") or not folder else f"{folder}/"
    admitted = bucket is None or route.admits(bucket)
    return admitted and (prefix.startswith(route.prefix) or route.prefix.startswith(prefix))


def _files(sources: Sequence[Source]) -> str:
    return ", ".join(dict.fromkeys(_quoted(source.file) for source in sources))


def _else(route: Route) -> str:
    """What becomes of the route's other uploads."""
    return "" if route.stage_to else "; uploads to any other key are rejected"


def _pattern(route: Route) -> str:
    ending = f" that ends with {_quoted(route.suffix)}" if route.suffix else ""
    return f"under {_quoted(route.prefix)}{ending}"


def _names(integrations: Sequence[Integration]) -> str:
    return ", ".join(repr(integration.name) for integration in integrations)


def _url(bucket: str | None, folder: str) -> str:
    return f"s3://{bucket or '…'}/{folder}"


def _quoted(text: str | None) -> str:
    return f'"{text}"'


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
