"""Integrations as people write them, in flags or in a TOML file, and as CloudWorks needs them.

```toml
workspace  = "8a80db6570680fe101718955f3b33900"   # these three apply to every integration that does not name its own
model      = "E559BFF3B1AD4CDE874F745BEA259711"
connection = "finance-inbox"                      # a connection's name or id

[[integration]]                                   # S3 → Anaplan
name   = "Accounts"
import = { file = "source/Accounts.csv", action = "112000000001", data_source = "113000000001" }

[[integration]]                                   # Anaplan → S3: the file's name is the export action's
name   = "Forecast"
export = { folder = "exports/", action = "116000000001", overwrite = true }

[[integration]]                                   # a process, with the files that its actions read and write
name    = "Nightly"
process = "118000000001"
import  = [
    { file = "source/Rates.csv", action = "112000000002", data_source = "113000000002" },
    { file = "source/Units.csv", action = "112000000003", data_source = "113000000003", connection = "other-bucket" },
]
```
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from anaplan_autoload.domain.tenant import End, Integration, Job
from anaplan_autoload_cli.cloudworks.workspace import Definition, export_job, import_job
from anaplan_autoload_cli.output import CommandFailed

_IDS = {
    "112": "an import action",
    "113": "a data source (an import's file)",
    "116": "an export action",
    "117": "a delete action",
    "118": "a process",
}

_T = TypeVar("_T")


class Import(Struct, frozen=True, forbid_unknown_fields=True):
    """A file in S3 that an import action loads."""

    file: str
    """The key: one fixed file, no pattern."""
    action: str
    data_source: str
    connection: str | None = None


class Export(Struct, frozen=True, forbid_unknown_fields=True):
    """A folder in S3 that an export action writes to."""

    folder: str
    action: str
    overwrite: bool = True
    connection: str | None = None


class DefinedIntegration(Struct, frozen=True, forbid_unknown_fields=True):
    """An integration as the file wants it."""

    name: str
    workspace: str | None = None
    model: str | None = None
    connection: str | None = None
    process: str | None = None
    imports: Import | tuple[Import, ...] = field(default=(), name="import")
    exports: Export | tuple[Export, ...] = field(default=(), name="export")


class Change(Struct, frozen=True):
    """One difference between an integration and what is wanted."""

    what: str
    now: str | None
    wanted: str | None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    integration: tuple[DefinedIntegration, ...]
    workspace: str | None = None
    model: str | None = None
    connection: str | None = None


def read(path: Path) -> list[DefinedIntegration]:
    """The integrations in a file, with the file's defaults filled in; raises `CommandFailed` for every mistake."""
    try:
        file = msgspec.toml.decode(path.read_text(encoding="utf-8-sig"), type=_File)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}.") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise CommandFailed(
            f"{path}: {error}.", remedy="anaplan-autoload integrations apply --help shows the form."
        ) from error
    names = [wanted.name for wanted in file.integration]
    for name in names:
        if names.count(name) > 1:
            raise CommandFailed(f"{path}: integration {name!r} is in the file {names.count(name)} times; keep one.")
    return [
        msgspec.structs.replace(
            wanted,
            workspace=wanted.workspace or file.workspace,
            model=wanted.model or file.model,
            connection=wanted.connection or file.connection,
        )
        for wanted in file.integration
    ]


def definition(wanted: DefinedIntegration, connection_id: Callable[[str], str]) -> Definition:
    """What CloudWorks takes; `connection_id` turns a connection's name or id into its id.

    Raises `CommandFailed` for what is missing or cannot be right, with the integration's name.
    """
    label = f"Integration {wanted.name!r}"
    imports, exports = _listed(wanted.imports), _listed(wanted.exports)
    if not wanted.process and len(imports) + len(exports) != 1:
        raise CommandFailed(
            f"{label} has {len(imports)} imports and {len(exports)} exports; without a process it has exactly one.",
            remedy="Name its process, or make an integration of each.",
        )

    def connected(job: Import | Export) -> str:
        return connection_id(_required(job.connection or wanted.connection, label, "connection"))

    jobs = [
        import_job(
            connected(one), _key(one.file, label), _id(one.action, "112", label), _id(one.data_source, "113", label)
        )
        for one in imports
    ] + [
        export_job(connected(one), one.folder, _id(one.action, "116", label), overwrite=one.overwrite)
        for one in exports
    ]
    return Definition(
        name=wanted.name,
        workspace_id=_required(wanted.workspace, label, "workspace"),
        model_id=_required(wanted.model, label, "model").upper(),  # the one id that Anaplan writes in capitals
        jobs=tuple(jobs),
        process_id=_id(wanted.process, "118", label) if wanted.process else None,
    )


def differences(current: Integration, wanted: Definition) -> list[Change]:
    """How `current` (with its jobs) differs from what is wanted; empty when it does not."""
    pairs = [
        ("workspace", current.workspace_id, wanted.workspace_id),
        ("model", current.model_id, wanted.model_id),
        ("process", current.process_id, wanted.process_id),
    ]
    changes = [Change(what, now, then) for what, now, then in pairs if now != then]
    before, after = current.jobs or (), wanted.jobs
    for number in range(max(len(before), len(after))):
        label = "" if max(len(before), len(after)) == 1 else f"file {number + 1}: "
        changes += _job_changes(
            label, before[number] if number < len(before) else None, after[number] if number < len(after) else None
        )
    return changes


def described(job: Job) -> dict[str, str]:
    """A job in the words of the TOML file."""
    words = {"type": job.type}
    for end in (*job.sources, *job.targets):
        words |= {name: text for name, text in _end_words(end) if text is not None}
    return words


def _end_words(end: End) -> list[tuple[str, str | None]]:
    overwrite = None if end.overwrite is None else str(end.overwrite).lower()
    return [
        ("connection", end.connection_id),
        ("file", end.file),
        ("action", end.action_id),
        ("data_source", end.file_id),
        ("overwrite", overwrite),
    ]


def _job_changes(label: str, before: Job | None, after: Job | None) -> list[Change]:
    now, then = (described(job) if job else {} for job in (before, after))
    return [
        Change(f"{label}{name}", now.get(name), then.get(name))
        for name in dict.fromkeys((*now, *then))
        if now.get(name) != then.get(name)
    ]


def _listed(value: _T | tuple[_T, ...]) -> tuple[_T, ...]:
    return value if isinstance(value, tuple) else (value,)


def _required(value: str | None, label: str, what: str) -> str:
    if not value:
        raise CommandFailed(f"{label} names no {what}.", remedy=f'Give --{what}, or {what} = "…" in the file.')
    return value


def _key(file: str, label: str) -> str:
    if file.startswith(("/", "s3://")) or file.endswith("/") or not file:
        raise CommandFailed(
            f"{label}: file {file!r} is not the key of a file.",
            remedy="Write the key inside the bucket, such as source/Accounts.csv: one file, without s3:// and bucket.",
        )
    return file


def _id(text: str, prefix: str, label: str) -> str:
    """An Anaplan id of one kind, which its first digits show."""
    if re.fullmatch(rf"{prefix}\d{{9}}", text):
        return text
    found = _IDS.get(text[:3]) if text.isdecimal() else None
    is_what = f"is {found}" if found else "is not an Anaplan id"
    raise CommandFailed(
        f"{label}: {text!r} {is_what}, where {_IDS[prefix]} belongs.",
        remedy=f"Such ids are twelve digits and begin with {prefix}; Anaplan's Integration API lists them.",
    )
