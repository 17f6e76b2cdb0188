"""The rule of each key of a `[[route]]`: `CHECKS`, at the end, lists them all."""

from __future__ import annotations

import re
from typing import get_args

from anaplan_autoload.domain.outcomes import ReportOutcome
from anaplan_autoload.domain.routes_file.check_key import check
from anaplan_autoload.domain.routes_file.mistakes import kind, meant, quote
from anaplan_autoload.domain.routes_file.values import (
    Check,
    WrongValue,
    item_text,
    items,
    key_part,
    key_start,
    seconds,
    text_of,
    whole_number,
)

MAX_SETTLE = 15 * 60
"""Seconds: the longest `settle`."""
MIN_OVERDUE = 60
"""Seconds: the shortest `overdue`."""
MIN_WITHIN, MAX_WITHIN = 60, 90 * 86_400
"""Seconds: the shortest and the longest `within`. The ledger cannot wait for longer than it remembers uploads."""
MAX_NEEDS = 100
"""The most files in `needs`: every upload of the route is stored with the list."""
MAX_RETRIES = 5
"""The most `retries`, which come after 1, 2, 4, 8 and 16 minutes."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}")  # names of old buckets may break today's rules
_ID = re.compile(r"[0-9a-f]{32}")


def _name(value: object) -> str:
    if not _NAME.fullmatch(text := text_of(value)):
        raise WrongValue(
            f"{quote(text)} is not a valid name",
            "Use 1 to 63 letters, digits, dots, dashes and underscores, a letter or digit first.",
        )
    return text


def _bucket(value: object) -> str:
    if not BUCKET_NAME.fullmatch(text := text_of(value)):
        raise WrongValue(f"{quote(text)} is not a bucket name", "Write the name only, without s3:// and without a key.")
    return text


def _id(value: object) -> str:
    if not _ID.fullmatch(text := text_of(value)):
        raise WrongValue(f"{quote(text)} is not a valid id", "Copy it from CloudWorks: 32 digits and letters a to f.")
    return text


def _load_mode(value: object) -> str:
    if (text := text_of(value)) not in ("latest", "each"):
        raise WrongValue(f"{quote(text)} is unknown", 'Write "latest" or "each".')
    return text


def _stage_key(value: object) -> str:
    text = key_start(value)
    if not text or text.endswith("/"):
        raise WrongValue(f"{quote(text)} is not the key of a file", "Name the file that the integration reads.")
    return text


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise WrongValue(f"is {kind(value)}", "Write true or false.")
    return value


def _patterns(value: object) -> list[str]:
    return [_pattern(each) for each in items(value, '["*.bak"]')]


def _pattern(value: object) -> str:
    text = item_text(value, "pattern", '["*.bak"]')
    if not text.strip():
        raise WrongValue("contains an empty pattern", 'Leave it out, or write what to ignore: ["*.bak"].')
    if "/" in text or "\\" in text:
        raise WrongValue(
            f"contains {quote(text)}, but patterns are compared with a key's last part, which has no slash",
            "Write the name alone, or another prefix to leave out a folder.",
        )
    if not text.strip("*"):
        raise WrongValue(
            f"contains {quote(text)}, which would ignore every upload", "Remove the route, or narrow the pattern."
        )
    return key_part(text)


def _windows(value: object) -> list[str]:
    from anaplan_autoload.domain import schedule  # only routes with windows need time zones

    texts = value if isinstance(value, list) else [value]
    if not texts:
        raise WrongValue("is an empty list", f"Write when runs may begin: {schedule.WINDOW_EXAMPLE}, or leave it out.")
    return [_window(text) for text in texts]


def _window(value: object) -> str:
    from anaplan_autoload.domain import schedule

    if not isinstance(value, str):
        raise WrongValue(f"is or contains {kind(value)}, not text", f"Write {schedule.WINDOW_EXAMPLE}.")
    try:
        schedule.window(value)
    except schedule.ScheduleInvalid as error:
        raise WrongValue(f"{quote(value)} cannot be used: {error.reason}", error.remedy) from None
    return value


def _needs(value: object) -> list[str]:
    listed = items(value, '["accounts.csv", "entities.csv"]')
    if not 0 < len(listed) <= MAX_NEEDS:
        raise WrongValue(f"lists {len(listed)} files", f"Name 1 to {MAX_NEEDS}, or leave it out.")
    names = [_needed(each) for each in listed]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise WrongValue(f"contains {quote(repeated)} twice", "Name every file once.")
    return names


def _needed(value: object) -> str:
    text = item_text(value, "name", '["accounts.csv"]')
    if not text.strip() or text.startswith(("/", "s3://")) or text.endswith("/"):
        raise WrongValue(
            f"contains {quote(text)}, which is not a file's name",
            'Write what comes after the prefix: ["accounts.csv"].',
        )
    return text


def _within(value: object) -> int:
    if not MIN_WITHIN <= (length := seconds(value)) <= MAX_WITHIN:
        raise WrongValue(f"{quote(text_of(value))} is too short or too long", 'Write "1m" to "90d".')
    return length


def _expect(value: object) -> str:
    from anaplan_autoload.domain.schedule import ScheduleInvalid, due  # only routes that use it need time zones

    try:
        due(text := text_of(value))
    except ScheduleInvalid as error:
        raise WrongValue(f"cannot be used: {error.reason}", error.remedy) from None
    return text


def _notify(value: object) -> list[str]:
    return [_outcome(each) for each in items(value, '["failed", "partial"]')]


def _outcome(value: object) -> str:
    known = get_args(ReportOutcome)
    if (text := item_text(value, "outcome", '["failed", "partial"]')) not in known:
        raise WrongValue(f"contains the unknown outcome {quote(text)}", meant(text, known))
    return text


def _retries(value: object) -> int:
    return whole_number(value, MAX_RETRIES)


def _settle(value: object) -> int:
    if (length := seconds(value)) > MAX_SETTLE:
        raise WrongValue(f"{quote(text_of(value))} is too long", 'Write "15m" or less.')
    return length


def _overdue(value: object) -> int:
    if (length := seconds(value)) < MIN_OVERDUE:
        raise WrongValue(f"{quote(text_of(value))} is too short", 'Write "1m" or more.')
    return length


CHECKS: dict[str, Check] = {
    "name": _name,
    "prefix": key_start,
    "suffix": key_part,
    "bucket": _bucket,
    "integration": _id,
    "flow": _id,
    "load": _load_mode,
    "stage_to": _stage_key,
    "settle": _settle,
    "lane": _name,
    "retries": _retries,
    "overdue": _overdue,
    "allow_empty": _flag,
    "exclude": _patterns,
    "window": _windows,
    "needs": _needs,
    "within": _within,
    "check": check,
    "expect": _expect,
    "notify": _notify,
}
