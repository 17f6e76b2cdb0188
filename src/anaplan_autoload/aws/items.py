"""DynamoDB's items as plain values.

boto3's own serializer makes every number a Decimal and comes with the resource layer, which costs cold starts. The
table holds text, whole numbers, booleans, lists, maps and nulls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Item = dict[str, Any]
"""Attribute's name → plain value."""


def encode(item: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as a DynamoDB item."""
    return {name: _encode_value(value) for name, value in item.items()}


def _encode_value(value: object) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case dict():
            return {"M": encode(value)}
        case list() | tuple():
            return {"L": [_encode_value(entry) for entry in value]}
    raise TypeError(f"the ledger holds no {type(value).__name__}")


def decode(item: Mapping[str, Any]) -> Item:
    """A DynamoDB item as plain values."""
    return {name: _decode_value(value) for name, value in item.items()}


def _decode_value(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return int(content)
        case "M":
            return decode(content)
        case "L":
            return [_decode_value(entry) for entry in content]
        case "NULL":
            return None
    return content
