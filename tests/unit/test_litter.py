"""Which names are not uploads."""

from __future__ import annotations

import pytest

from anaplan_autoload.domain.litter import excluded_by
from anaplan_autoload.domain.near import explain
from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid
from anaplan_autoload.domain.routes_file.parsing import parse

ROUTE = """
[[route]]
name = "accounts"
prefix = "incoming/"
integration = "a2fb43a93bc84bcb9f37dd59a75eb940"
"""


@pytest.mark.parametrize(
    "name",
    [
        "Accounts.csv.filepart",
        "Accounts.csv.part",
        "Accounts.csv.partial",
        "Accounts.csv.crdownload",
        "Accounts.tmp",
        "ACCOUNTS.TMP",
        ".Accounts.csv.swp",
        "._Accounts.csv",
        ".DS_Store",
        "Thumbs.db",
        "thumbs.db",
        "desktop.ini",
        "~$Accounts.xlsx",
        ".~lock.Accounts.csv#",
        "_SUCCESS",
        "_started_123",
        "_committed_123",
        "incoming_$folder$",
        "Accounts.csv._COPYING_",
        ".Accounts.csv.crc",
        "Accounts.csv~",
    ],
)
def test_litter_and_unfinished_files_are_never_uploads(name: str) -> None:
    assert excluded_by(f"incoming/sub/{name}", ()) is not None
    assert excluded_by(name, ()) is not None


@pytest.mark.parametrize(
    "key",
    [
        "incoming/Accounts.csv",
        "incoming/_SUCCESS/Accounts.csv",
        "incoming/x.tmp/Accounts.csv",
        "incoming/part-00000.csv",
        "incoming/SUCCESS",
        "incoming/_SUCCESS.csv",
        "incoming/tmp",
        "incoming/filepart.csv",
        "incoming/_Accounts.csv",
        "incoming/$Accounts.csv",
        "incoming/Accounts.csv.bak",
        "incoming/",
    ],
)
def test_other_names_are_uploads(key: str) -> None:
    assert excluded_by(key, ()) is None


@pytest.mark.parametrize(
    ("name", "pattern", "excluded"),
    [
        ("a.bak", "*.bak", True),
        ("a.BAK", "*.bak", False),
        ("a.bak.csv", "*.bak", False),
        ("test-1.csv", "test-?.csv", True),
        ("test-12.csv", "test-?.csv", False),
        ("b.csv", "[ab].csv", True),
        ("line\nbreak.bak", "*.bak", True),
        ("a*b", "a[*]b", True),
    ],
)
def test_a_routes_own_patterns(name: str, pattern: str, excluded: bool) -> None:
    assert (excluded_by(f"incoming/{name}", (pattern,)) == pattern) is excluded


@pytest.mark.parametrize(
    ("suffix", "name", "excluded"),
    [
        ("_SUCCESS", "_SUCCESS", False),
        ("SUCCESS", "_SUCCESS", False),
        ("/_SUCCESS", "_SUCCESS", False),
        (".tmp", "a.tmp", False),
        ("tmp", "a.tmp", False),
        (".tmp", "._a.tmp", True),
        (".db", "Thumbs.db", True),
        (".csv", "~$a.csv", True),
        ("", "_SUCCESS", True),
    ],
)
def test_what_a_suffix_names_is_meant(suffix: str, name: str, excluded: bool) -> None:
    [route] = parse(f"{ROUTE}suffix = {suffix!r}", "routes.toml")

    assert (route.excluded_by(f"incoming/{name}") is not None) is excluded


def test_what_a_prefix_names_is_meant() -> None:
    [route] = parse(ROUTE.replace("incoming/", "incoming/_SUCCESS"), "routes.toml")

    assert route.excluded_by("incoming/_SUCCESS") is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"*.bak"', "is text, not a list"),
        ("true", "is true or false, not a list"),
        ("[1]", "contains a number, not text"),
        ('[""]', "an empty pattern"),
        ('[" "]', "an empty pattern"),
        ('["old/*.csv"]', "no slash"),
        ("['old\\\\*.csv']", "no slash"),
        ('["*"]', "every upload"),
        ('["**"]', "every upload"),
        ('["*.csv"]', "every upload"),
        ('["*csv"]', "every upload"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(value: str, said: str) -> None:
    with pytest.raises(RoutesInvalid, match="exclude") as refused:
        parse(f'{ROUTE}suffix = ".csv"\nexclude = {value}', "routes.toml")

    assert said in str(refused.value)


def test_the_closest_route_decides_although_it_ignores_the_name() -> None:
    wider = ROUTE.replace('"accounts"', '"all"').replace("incoming/", "")
    routes = parse(f'{ROUTE}exclude = ["*.bak"]{wider}', "routes.toml")

    explained = explain(routes, "inbox", "incoming/a.bak")

    assert explained.route is not None and explained.route.name == "accounts"
    assert explained.excluded_by == "*.bak" and "ignored" in explained.why
