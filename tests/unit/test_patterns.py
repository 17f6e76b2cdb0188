"""Prefixes and suffixes that are probably not what was meant, and keys that nearly match a route."""

from __future__ import annotations

import unicodedata

import pytest

from anaplan_autoload.domain.near import explain, why_not
from anaplan_autoload.domain.patterns import doubts
from anaplan_autoload.domain.routes import Load, Route, Routes

BUCKET = "finance-inbox"


def route(prefix: str = "incoming/", suffix: str = "", bucket: str | None = None, stage_to: str | None = None) -> Route:
    load: Load = "latest" if stage_to is None else "each"
    return Route("accounts", prefix, "a" * 32, suffix=suffix, bucket=bucket, stage_to=stage_to, load=load)


def told(doubtful: Route) -> list[str]:
    """What is said of the route, with each remedy."""
    found = doubts([doubtful], [BUCKET])
    assert all(doubt.route == "accounts" for doubt in found)
    return [f"{doubt.what}. {doubt.remedy}" for doubt in found]


@pytest.mark.parametrize(
    ("prefix", "why", "meant"),
    [
        ("incoming/*", '"*"', 'prefix = "incoming/".'),
        ("*.csv", '"*"', 'prefix = "" with suffix = ".csv".'),
        ("incoming/**/*.csv", '"**"', 'prefix = "incoming/" with suffix = ".csv".'),
        ("incoming/acc*", '"*"', 'prefix = "incoming/acc".'),
        ("incoming/accounts_????.csv", '"????"', 'prefix = "incoming/accounts_" with suffix = ".csv".'),
        ("incoming/*/accounts.csv", '"*"', 'prefix = "incoming/" with suffix = "/accounts.csv".'),
        ("incoming/[abc]/", '"[abc]"', 'prefix = "incoming/".'),
        ("incoming/{a,b}/", '"{a,b}"', 'prefix = "incoming/a/" or, in a route of its own, prefix = "incoming/b/".'),
        ("incoming/(a|b)/", '"(a|b)"', 'prefix = "incoming/a/" or, in a route of its own, prefix = "incoming/b/".'),
        ("incoming/${date}/", '"${date}"', 'prefix = "incoming/".'),
        ("incoming/<name>.csv", '"<name>"', 'prefix = "incoming/" with suffix = ".csv".'),
        ("incoming/YYYY-MM-DD/", '"YYYY-MM-DD"', 'prefix = "incoming/".'),
        ("incoming/%Y/%m/", '"%Y"', 'prefix = "incoming/".'),
        (r"^incoming/.*\.csv$", '".*"', 'prefix = "incoming/" with suffix = ".csv".'),
        (r"incoming/\d+.csv", r'"\d+"', 'prefix = "incoming/" with suffix = ".csv".'),
        ("incoming/[0-9]{4}/", '"[0-9]{4}"', 'prefix = "incoming/".'),
        ("^incoming/", '"^"', 'prefix = "incoming/".'),
        ("incoming/$", '"$"', 'prefix = "incoming/".'),
        ("(?i)incoming/", '"(?"', 'prefix = "incoming/".'),
        ("incoming/month%20end/", "URL-encoded", 'prefix = "incoming/month end/".'),
        ("incoming%2Faccounts%2F", "URL-encoded", 'prefix = "incoming/accounts/".'),
        ("incoming/month+end/", '"+"', 'prefix = "incoming/month end/".'),
        ("incoming\\data\\", "backslashes", 'prefix = "incoming/data/".'),
        ("C:\\incoming\\", "address", 'prefix = "incoming/".'),
        (" incoming/", "space", 'prefix = "incoming/".'),
        ("incoming/\t", "space", 'prefix = "incoming/".'),
        ("incoming/\u200b", "space", 'prefix = "incoming/".'),
        ("\u00a0incoming/", "space", 'prefix = "incoming/".'),
        ("incoming / accounts/", "spaces beside a slash", 'prefix = "incoming/accounts/".'),
        ("'incoming/'", "quotation marks", 'prefix = "incoming/".'),
        ("finance-inbox/incoming/", "bucket's name", 'prefix = "incoming/".'),
        ("finance-inbox", "bucket's name", 'prefix = "".'),
        ("S3://finance-inbox/incoming/", "address", 'prefix = "incoming/".'),
        ("s3a://finance-inbox/incoming/", "address", 'prefix = "incoming/".'),
        ("arn:aws:s3:::finance-inbox/incoming/*", "address", 'prefix = "incoming/".'),
        ("https://finance-inbox.s3.eu-west-1.amazonaws.com/incoming/", "address", 'prefix = "incoming/".'),
        ("https://s3.eu-west-1.amazonaws.com/finance-inbox/incoming/", "address", 'prefix = "incoming/".'),
        ("/incoming/", "begins with a slash", 'prefix = "incoming/".'),
        ("incoming//accounts/", "double slash", 'prefix = "incoming/accounts/".'),
        ("./incoming/", "folder", 'prefix = "incoming/".'),
        ("incoming/accounts.csv/", "file's name and a slash", 'prefix = "incoming/accounts.csv".'),
    ],
)
def test_a_prefix_that_hardly_matches_anything_is_told_with_what_was_meant(prefix: str, why: str, meant: str) -> None:
    [doubt] = told(route(prefix))

    assert doubt.startswith('prefix "') and why in doubt and doubt.endswith(f"Probably meant: {meant}")


@pytest.mark.parametrize(
    ("suffix", "why", "meant"),
    [
        ("*.csv", '"*"', 'with suffix = ".csv".'),
        ("*", '"*"', "and no suffix."),
        (".*", '".*"', "and no suffix."),
        (".csv*", '"*"', 'with suffix = ".csv".'),
        (r".*\.csv$", '".*"', 'with suffix = ".csv".'),
        (r"\.csv", '"\\"', 'with suffix = ".csv".'),
        (".csv$", '"$"', 'with suffix = ".csv".'),
        ("csv", "without its dot", 'with suffix = ".csv".'),
        ("XLSX", "without its dot", 'with suffix = ".XLSX".'),
        (" .csv", "space", 'with suffix = ".csv".'),
        ("%2Ecsv", "URL-encoded", 'with suffix = ".csv".'),
        ("accounts/", "ends with a slash", 'with suffix = "accounts".'),
        (
            ".{csv,txt}",
            '"{csv,txt}"',
            'with suffix = ".csv" or, in a route of its own, prefix = "incoming/" with suffix = ".txt".',
        ),
        (
            ".csv, .txt",
            "a list",
            'with suffix = ".csv" or, in a route of its own, prefix = "incoming/" with suffix = ".txt".',
        ),
    ],
)
def test_a_suffix_that_hardly_matches_anything_is_told_with_what_was_meant(suffix: str, why: str, meant: str) -> None:
    [doubt] = told(route(suffix=suffix))

    assert doubt.startswith('suffix "') and why in doubt
    assert doubt.endswith(f'Probably meant: prefix = "incoming/" {meant}')


@pytest.mark.parametrize(
    "sound",
    [
        route(),
        route(""),
        route("incoming/accounts.csv"),
        route("incoming/accounts/", ".csv.gz"),
        route("incoming/", "_2026.csv"),
        route("incoming/", "/accounts.csv"),
        route("incoming/", ".CSV"),
        route("Größe & Maß (neu)/", "-final.txt"),
        route("incoming/2026-11/"),
        route("50% off/a$b^c/"),
        route("v1.csv.d/"),
        route("another-inbox/"),
        route("incoming/.hidden/"),
        route("each/", stage_to="source/month end.csv"),
    ],
)
def test_an_unusual_but_possible_value_causes_no_warning(sound: Route) -> None:
    assert told(sound) == []


@pytest.mark.parametrize(
    ("stage_to", "remedy"),
    [
        ("source/month%20end.csv", 'Probably meant: stage_to = "source/month end.csv".'),
        ("source\\x.csv", 'Probably meant: stage_to = "source/x.csv".'),
        ("finance-inbox/source/x.csv", 'Probably meant: stage_to = "source/x.csv".'),
        ("source/*.csv", "Write the key that the integration reads, letter by letter."),
    ],
)
def test_the_key_of_a_copy_is_looked_at_too(stage_to: str, remedy: str) -> None:
    [doubt] = told(route(stage_to=stage_to))

    assert doubt.startswith(f'stage_to "{stage_to}"') and doubt.endswith(remedy)


def test_the_routes_own_bucket_is_known_too() -> None:
    [doubt] = doubts([route("own-bucket/incoming/", bucket="own-bucket")])

    assert doubt.remedy == 'Probably meant: prefix = "incoming/".'


def test_everything_that_is_wrong_with_a_value_is_told_at_once() -> None:
    [doubt] = told(route(" incoming\\month%20end/*"))

    assert all(why in doubt for why in ("space", "backslashes", "URL-encoded", '"*"'))
    assert doubt.endswith('Probably meant: prefix = "incoming/month end/".')


# Near misses

NFC, NFD = "Größe/", unicodedata.normalize("NFD", "Größe/")


@pytest.mark.parametrize(
    ("prefix", "suffix", "key", "words"),
    [
        ("incoming/", "", "Incoming/x.csv", 'its prefix "incoming/" differs in upper and lower case'),
        (NFC, "", f"{NFD}x.csv", f'its prefix "{NFC}" differs in how its accents are encoded (Unicode NFC or NFD)'),
        (NFD, "", f"{NFC}x.csv", f'its prefix "{NFD}" differs in how its accents are encoded (Unicode NFC or NFD)'),
        ("incoming/", "", "/incoming/x.csv", 'its prefix "incoming/" differs in slashes'),
        ("in/deep/", "", "in//deep/x.csv", 'its prefix "in/deep/" differs in slashes'),
        ("in/deep/", "", "in\\deep\\x.csv", 'its prefix "in/deep/" differs in slashes'),
        ("in/", "", "in /x.csv", 'its prefix "in/" differs in spaces'),
        ("in/", "", "in\u200b/x.csv", 'its prefix "in/" differs in spaces'),
        ("month end/", "", "month%20end/x", 'its prefix "month end/" differs in URL encoding (%20 or + for a space)'),
        ("month end/", "", "month+end/x", 'its prefix "month end/" differs in URL encoding (%20 or + for a space)'),
        ("in/", "", "IN\\x.csv", 'its prefix "in/" differs in upper and lower case and slashes'),
        ("in/", ".csv", "in/x.CSV", 'its suffix ".csv" differs in upper and lower case'),
        ("in/", ".csv", "in/x.csv ", 'its suffix ".csv" differs in spaces'),
        (
            "in/",
            "/x.csv",
            "in\\x.csv",
            'its prefix "in/" differs in slashes, and its suffix "/x.csv" differs in slashes',
        ),
        ("in/", ".csv", "in/x.txt", 'its suffix is ".csv"'),
        ("in/", ".csv", "In/x.txt", 'its prefix "in/" differs in upper and lower case, and its suffix is ".csv"'),
        ("in/*", "", "in/x.csv", 'prefix "in/*" is taken literally; probably meant: prefix "in/"'),
        ("*.csv", "", "in/x.csv", 'prefix "*.csv" is taken literally; probably meant: prefix "" with suffix ".csv"'),
        ("in/{a,b}/", "", "in/b/x", 'prefix "in/{a,b}/" is taken literally; probably meant: prefix "in/b/"'),
        ("inbox/in/", "", "in/x.csv", 'prefix "inbox/in/" is taken literally; probably meant: prefix "in/"'),
        (
            "in/",
            "*.csv",
            "in/x.csv",
            'prefix "in/" with suffix "*.csv" is taken literally; probably meant: prefix "in/" with suffix ".csv"',
        ),
        ("in/", "", "out/x.csv", ""),
        ("in/", ".csv", "out/x.csv", ""),
        ("in/", "/x.csv", "in/yx.csv", 'its suffix is "/x.csv"'),
        (" ", "", "x.csv", 'prefix " " is taken literally; probably meant: prefix ""'),
    ],
)
def test_a_key_that_nearly_matches_is_told_what_is_different(prefix: str, suffix: str, key: str, words: str) -> None:
    assert why_not(route(prefix, suffix), "inbox", key) == words


def test_another_bucket_is_named_too() -> None:
    why = why_not(route("in/", bucket="own"), "inbox", "In/x.csv")

    assert why == 'its prefix "in/" differs in upper and lower case, and it loads from bucket "own" only'


def test_an_explanation_uses_them() -> None:
    explained = explain(Routes((route("in/deep/"),)), "inbox", "in\\deep\\x.csv")

    assert [miss.why for miss in explained.near_misses] == ['its prefix "in/deep/" differs in slashes']
