"""JSON Schemas of what leaves the function, made from its types: `python -m docs.generate` writes `docs/schemas/`."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from anaplan_autoload.domain.contents import Problem
from anaplan_autoload.report.chat import Content, Metadata, Notification
from anaplan_autoload.report.event import DETAIL_TYPES, SOURCE
from anaplan_autoload.report.log import LogLine
from anaplan_autoload.report.report import LastLoad, Report, ReportedError, ReportedUpload

FOLDER = Path(__file__).with_name("schemas")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
Json = dict[str, Any]

TYPES: tuple[type[Struct], ...] = (
    *(Report, ReportedUpload, ReportedError, LastLoad, Problem),
    *(LogLine, Notification, Content, Metadata),
)
"""Every type whose schema is written: its fields' docstrings become descriptions."""
EVERY_LINE: Json = {
    "level": {"enum": ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]},
    "message": {"type": "string", "description": "The subject of the mail."},
    "timestamp": {"type": "string", "description": "When it was written, such as `2026-11-24 21:05:00,123+0000`."},
    "service": {"const": SOURCE},
    "executionArn": {"type": "string", "description": "The durable execution."},
    "operationName": {"type": "string", "description": "The step."},
    "operationId": {"type": "string"},
    "attempt": {"type": "integer", "description": "Of the step."},
    "batch_id": {"type": "string", "description": "The uploads that one run is to cover."},
    "xray_trace_id": {"type": "string", "description": "With Tracing=Active."},
}
"""The keys that AWS's SDK, Powertools and the handler add to every line."""


def files() -> dict[str, str]:
    """Every schema as it has to be now, by the name of its file."""
    schemas = {
        "message.json": _message(),
        "log-line.json": _log_line(),
        "chat.json": _document(Notification, "What Amazon Q Developer in chat applications gets."),
        **{f"event-{outcome}.json": _event(outcome, kind) for outcome, kind in DETAIL_TYPES.items()},
    }
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas.items()}


def write() -> None:
    """Write the files, and remove those that are no longer made."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _message() -> Json:
    return _document(Report, "What SNS sends to every protocol other than email and SMS.")


def _event(outcome: str, kind: str) -> Json:
    """An event on EventBridge: its detail is the message, with one outcome."""
    message = _message()
    definitions = message.pop("$defs") | {"Report": {key: message[key] for key in ("type", "properties", "required")}}
    text = {"type": "string"}
    return {
        "$schema": DIALECT,
        "title": kind,
        "description": f"The event on EventBridge's default bus with the outcome {outcome}.",
        "type": "object",
        "properties": {
            "version": {"const": "0"},
            "id": text,
            "detail-type": {"const": kind},
            "source": {"const": SOURCE},
            "account": text,
            "time": text,
            "region": text,
            "resources": {"type": "array", "items": text},
            "detail": {"$ref": "#/$defs/Report", "properties": {"outcome": {"const": outcome}}},
        },
        "required": ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"],
        "$defs": definitions,
    }


def _log_line() -> Json:
    """The log leaves null keys out."""
    schema = _document(LogLine, "The log line of a report, one for each that ended, and of what else is announced.")
    schema["required"] = ["level", "message", "timestamp", "service"] + [
        field.encode_name for field in msgspec.structs.fields(LogLine) if NoneType not in _parts(field.type)
    ]
    schema["properties"] = EVERY_LINE | schema["properties"]
    return schema


def _document(kind: type[Struct], description: str) -> Json:
    """The schema of a type's JSON, with everything that it refers to."""
    _, definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for each in TYPES:
        if each.__name__ in definitions:
            _complete(each, definitions[each.__name__])
    top = definitions.pop(kind.__name__)
    return {"$schema": DIALECT, **top, "description": description, "$defs": definitions}


def _complete(kind: type[Struct], schema: Json) -> None:
    """Add the fields' descriptions; everything is written, but what is unset."""
    described = _docstrings(kind)
    for field in msgspec.structs.fields(kind):
        if field.name in described:
            schema["properties"][field.encode_name]["description"] = described[field.name]
        schema["properties"][field.encode_name].pop("default", None)
    schema["required"] = [field.encode_name for field in msgspec.structs.fields(kind) if field.default is not UNSET]


def _docstrings(kind: type[Struct]) -> dict[str, str]:
    """A class's fields and the text that follows each in the source."""
    [found] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    body = found.body if isinstance(found, ast.ClassDef) else []
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _parts(kind: Any) -> tuple[Any, ...]:
    """The members of a union; a type alone."""
    return getattr(kind, "__args__", ()) or (kind,)
