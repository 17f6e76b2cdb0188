"""`window`, `needs` and `within` in `routes.toml`: how they are read, and what is refused with which reason."""

from __future__ import annotations

import pytest

from anaplan_autoload.domain.routes import DEFAULT_WITHIN
from tests.unit.test_routes import each, findings, other, routes, table

SET = '["accounts.csv", "sub/entities.csv"]'


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"19:00-06:30 Europe/London mon-fri"', ("19:00-06:30 Europe/London mon-fri",)),
        ('["08:00-12:00 UTC", "13:00-17:00 UTC sat"]', ("08:00-12:00 UTC", "13:00-17:00 UTC sat")),
    ],
)
def test_windows_are_read(written: str, read: tuple[str, ...]) -> None:
    (latest,), (by_one,) = routes(table(window=written)), routes(table(window=written, **each("source/a.csv")))

    assert latest.window == by_one.window == read
    assert latest.may_wait


@pytest.mark.parametrize(("within", "seconds"), [("", DEFAULT_WITHIN), ('"6h"', 21_600), ('"90d"', 7_776_000)])
def test_a_set_is_read(within: str, seconds: int) -> None:
    (route,) = routes(table(needs=SET, within=within))

    assert (route.needs, route.within) == (("accounts.csv", "sub/entities.csv"), seconds)
    assert route.may_wait


def test_a_route_without_these_keys_never_waits() -> None:
    (route,) = routes(table())
    assert not route.may_wait


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"window": '"19:00-06:30 Europe/Londn"'}, 'window "19:00-06:30 Europe/Londn" cannot be used: "Europe/Londn"'),
        ({"window": '"19:00-25:00 UTC"'}, '"25:00" is not a time of day'),
        ({"window": '"nightly"'}, "does not name hours"),
        ({"window": '""'}, "does not name hours"),
        ({"window": '["19:00-20:00 UTC", "x"]'}, 'window "x" cannot be used'),
        ({"window": "[]"}, "window is an empty list"),
        ({"window": "19"}, "window is or contains a number"),
        ({"window": "19:00:00"}, "window is or contains a date or time"),
        ({"window": '["19:00-20:00 UTC", 7]'}, "window is or contains a number"),
        ({"needs": '"accounts.csv"'}, "needs is text, not a list"),
        ({"needs": "[]"}, "needs lists 0 files"),
        ({"needs": str([f"{number}.csv" for number in range(101)])}, "needs lists 101 files"),
        ({"needs": "[7]"}, "needs contains a number"),
        ({"needs": '["a.csv", "a.csv"]'}, 'needs contains "a.csv" twice'),
        ({"needs": '[" "]'}, 'needs contains " ", which is not a file'),
        ({"needs": '["/a.csv"]'}, 'needs contains "/a.csv", which is not a file'),
        ({"needs": '["s3://inbox/a.csv"]'}, "which is not a file"),
        ({"needs": '["sub/"]'}, 'needs contains "sub/", which is not a file'),
        ({"needs": f'["{"a" * 1010}.csv"]'}, "longer than 1024 bytes"),
        ({"needs": '["a.txt"]', "suffix": '".csv"'}, 'takes only keys that end with ".csv"'),
        ({"needs": '["a.tmp"]'}, 'names like "*.tmp" are ignored'),
        ({"needs": '["a.bak"]', "exclude": '["*.bak"]'}, 'names like "*.bak" are ignored'),
        ({"needs": SET, **each("source/a.csv")}, 'load = "each" loads every file by itself'),
        ({"within": '"6h"'}, "within is set, but needs is not"),
        ({"needs": SET, "within": '"30s"'}, 'within "30s" is too short or too long'),
        ({"needs": SET, "within": '"91d"'}, 'within "91d" is too short or too long'),
        ({"needs": SET, "within": "6"}, "within is a number"),
    ],
)
def test_rules_that_make_no_sense_are_refused(keys: dict[str, str], reason: str) -> None:
    [finding] = findings(table(**keys))

    assert finding.startswith('routes.toml: route "accounts": ') and reason in finding
    assert finding.endswith((".", '"'))


@pytest.mark.parametrize(
    ("taker", "refused"),
    [
        ({"prefix": '"incoming/accounts/sub/"'}, True),
        ({"prefix": '"incoming/accounts/"', "suffix": '".csv"'}, True),
        ({"prefix": '"incoming/accounts/other/"'}, False),
        ({"prefix": '"incoming/"'}, False),
        ({"prefix": '"incoming/accounts/sub/"', "bucket": '"elsewhere"'}, False),
    ],
)
def test_a_file_that_a_closer_route_takes_never_comes(taker: dict[str, str], refused: bool) -> None:
    text = [table(needs=SET), other(**taker)]
    if not refused:
        assert len(routes(*text)) == 2
        return
    assert all("is closer to" in finding for finding in findings(*text))
