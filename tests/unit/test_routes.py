"""`routes.toml`: which mistakes are refused and how, and which route an upload takes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from anaplan_autoload.domain.contents import ENCODINGS, Check, as_toml, is_listable
from anaplan_autoload.domain.near import explain
from anaplan_autoload.domain.outcomes import ReportOutcome
from anaplan_autoload.domain.routes import Route, Routes
from anaplan_autoload.domain.routes_file.mistakes import Mistake, RoutesInvalid
from anaplan_autoload.domain.routes_file.parsing import load, parse

ONE = "a2fb43a93bc84bcb9f37dd59a75eb940"
TWO = "b" * 32
THREE = "0123456789abcdef" * 2


def table(**values: str) -> str:
    """A `[[route]]` of TOML values as written, valid by default; an empty value leaves the key out."""
    sound = {"name": '"accounts"', "prefix": '"incoming/accounts/"', "integration": f'"{ONE}"'}
    lines = [f"{key} = {value}" for key, value in (sound | values).items() if value]
    return "\n".join(["[[route]]", *lines, ""])


def other(**values: str) -> str:
    """A second valid `[[route]]`."""
    return table(**({"name": '"other"', "prefix": '"incoming/other/"', "integration": f'"{TWO}"'} | values))


def each(stage_to: str) -> dict[str, str]:
    return {"load": '"each"', "stage_to": f'"{stage_to}"'}


def routes(*tables: str, reports: tuple[str, str] | None = None) -> Routes:
    return parse("".join(tables), "routes.toml", reports)


def findings(*tables: str, reports: tuple[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(RoutesInvalid) as refusal:
        routes(*tables, reports=reports)
    told = tuple(map(str, refusal.value.mistakes))
    assert str(refusal.value).splitlines() == list(told)
    return told


def matched(found: Routes, bucket: str, key: str) -> str | None:
    route = found.match(bucket, key)
    return route.name if route else None


# Reading


def test_every_key_of_a_route_is_read() -> None:
    (route,) = routes(
        table(
            suffix='".csv"',
            bucket='"finance-inbox"',
            settle='"30s"',
            lane='"finance-model"',
            retries="0",
            overdue='"1d"',
            allow_empty="true",
            **each("source/Accounts.csv"),
        )
    )

    assert route == Route(
        name="accounts",
        prefix="incoming/accounts/",
        integration=ONE,
        load="each",
        suffix=".csv",
        bucket="finance-inbox",
        stage_to="source/Accounts.csv",
        settle=30,
        lane="finance-model",
        retries=0,
        overdue=86_400,
        allow_empty=True,
    )


def test_a_route_needs_no_more_than_a_name_a_prefix_and_what_it_runs() -> None:
    (route,) = routes(table())

    assert (route.load, route.settle, route.retries, route.overdue, route.allow_empty) == ("latest", 0, 2, 7200, False)


def test_a_route_may_run_a_flow() -> None:
    (route,) = routes(table(integration="", flow=f'"{TWO}"'))

    assert (route.target, route.lane_id) == (TWO, TWO)


def test_an_empty_prefix_takes_every_key() -> None:
    assert matched(routes(table(prefix='""')), "inbox", "anything") == "accounts"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("0s", 0), ("30s", 30), ("1m", 60), ("1m30s", 90), ("15m", 900), ("900s", 900)],
)
def test_settle_is_a_length_of_time(written: str, seconds: int) -> None:
    assert [route.settle for route in routes(table(settle=f'"{written}"'))] == [seconds]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("60s", 60), ("2h", 7_200), ("90m", 5_400), ("1d", 86_400), ("1h30m", 5_400), ("1d2h3m4s", 93_784)],
)
def test_overdue_is_a_length_of_time(written: str, seconds: int) -> None:
    assert [route.overdue for route in routes(table(overdue=f'"{written}"'))] == [seconds]


def test_a_due_time_is_kept_as_it_was_written() -> None:
    (route,) = routes(table(expect='"6:00 Europe/London mon-fri"'))

    assert route.expect == "6:00 Europe/London mon-fri"


@pytest.mark.parametrize(
    ("written", "told", "silent"),
    [
        (
            None,
            ["loaded", "partial", "failed", "rejected", "held", "overdue", "incomplete", "missing", "recovered"],
            [],
        ),
        ('["failed", "missing"]', ["failed", "missing", "held"], ["loaded", "partial", "recovered", "overdue"]),
        ("[]", ["held"], ["loaded", "failed", "missing"]),
    ],
)
def test_a_route_announces_what_notify_names_and_always_that_it_is_held(
    written: str | None, told: list[ReportOutcome], silent: list[ReportOutcome]
) -> None:
    (route,) = routes(table(notify=written) if written else table())

    assert [outcome for outcome in (*told, *silent) if route.tells(outcome)] == told


def test_routes_come_in_the_files_order_and_lanes_each_once() -> None:
    found = routes(
        table(lane='"model"'),
        other(lane='"model"'),
        other(name='"third"', prefix='"third/"', integration=f'"{THREE}"'),
    )

    assert [route.name for route in found] == ["accounts", "other", "third"]
    assert len(found) == 3
    assert found.lanes == ("model", THREE)


def test_a_file_saved_by_a_windows_editor_is_read(tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_bytes(b"\xef\xbb\xbf" + table().replace("\n", "\r\n").encode())

    assert [route.name for route in load(file)] == ["accounts"]


# Refusing the file


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"

    with pytest.raises(RoutesInvalid) as refusal:
        load(file)

    assert str(refusal.value) == (f"{file}: it cannot be read (No such file or directory). Put the routes file there.")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_bytes(b'name = "d\xe9penses"')

    with pytest.raises(RoutesInvalid, match=r"routes\.toml: it is not UTF-8 text\."):
        load(file)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            '[[route]]\nname = "a\n',
            "it is not valid TOML: Illegal character '\\n' (at line 2, column 10). Correct it there.",
        ),
        (f"a = {'9' * 5000}", "it is not valid TOML: "),
        (f"a = {'[' * 5000}", "it is not valid TOML: it is nested too deeply."),
        ("", "it has no route, so nothing would ever be loaded. Add a [[route]]."),
        ("route = []", "it has no route, so nothing would ever be loaded. Add a [[route]]."),
        ('[[routes]]\nname = "a"', 'unknown key "routes". Did you mean "route"?'),
        ("zzz = 1", 'unknown key "zzz". Known are: route.'),
        ('[route]\nname = "a"', "route is not a list of tables. Begin every route with [[route]], in double brackets."),
        ("route = [7]", "route 1: it is not a table. Begin every route with [[route]]."),
    ],
)
def test_a_file_without_usable_routes_is_refused(text: str, finding: str) -> None:
    (found,) = findings(text)

    assert found.startswith(f"routes.toml: {finding}")


# Refusing a value


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("integratoin", '"x"', 'unknown key "integratoin". Did you mean "integration"?'),
        ("zzz", '"x"', 'unknown key "zzz". Known are: name, prefix, suffix,'),
        ("prefix", '"/incoming/"', 'prefix "/incoming/" begins with a slash or s3://, but keys in S3 do not.'),
        ("prefix", '"s3://inbox/incoming/"', 'prefix "s3://inbox/incoming/" begins with a slash or s3://'),
        ("prefix", f'"{"é" * 513}"', "prefix is longer than 1024 bytes, the limit for keys in S3."),
        ("prefix", "7", 'prefix is a number, not text. Write it in double quotes: "…".'),
        ("suffix", '[".csv"]', "suffix is a list, not text."),
        ("bucket", '"s3://inbox"', 'bucket "s3://inbox" is not a bucket name. Write the name only'),
        ("bucket", '""', 'bucket "" is not a bucket name.'),
        ("integration", f'"{ONE.upper()}"', f'integration "{ONE.upper()}" is not a valid id. Copy it from CloudWorks'),
        ("integration", f'"{ONE}\\n"', f'integration "{ONE}\\n" is not a valid id.'),
        ("load", '"eech"', 'load "eech" is unknown. Write "latest" or "each".'),
        ("load", "2026-11-24", "load is a date or time, not text."),
        ("expect", '"06:00"', 'expect cannot be used: "06:00" does not name hours, a time zone and days.'),
        ("expect", '"06:00 London"', 'expect cannot be used: "London" is not a time zone.'),
        ("expect", '"24:00 UTC"', 'expect cannot be used: "24:00" is the next day.'),
        ("expect", '"06:00 UTC weekdays"', 'expect cannot be used: "weekdays" is not a day or a span of days.'),
        ("expect", "06:00:00", 'expect is a date or time, not text. Write it in double quotes: "…".'),
        ("notify", '"failed"', 'notify is text, not a list. Write it in brackets: ["failed", "partial"].'),
        ("notify", "[7]", "notify contains a number, not text. Write each outcome in double quotes"),
        ("notify", '["fail"]', 'notify contains the unknown outcome "fail". Did you mean "failed"?'),
        ("notify", '["Loaded"]', 'notify contains the unknown outcome "Loaded". Did you mean "loaded"?'),
        (
            "notify",
            '["zzz"]',
            'notify contains the unknown outcome "zzz". Known are: loaded, partial, failed, rejected,',
        ),
        ("settle", "30", 'settle is a number. Write it as in "30s", "2h" or "1h30m", in quotes.'),
        ("settle", '"30"', 'settle "30" is not a duration.'),
        ("settle", '""', 'settle "" is not a duration.'),
        ("settle", '"-5s"', 'settle "-5s" is not a duration.'),
        ("settle", '"٣s"', 'settle "٣s" is not a duration.'),
        ("settle", '"1m1h"', 'settle "1m1h" is not a duration.'),
        ("settle", '"16m"', 'settle "16m" is too long. Write "15m" or less.'),
        ("overdue", '"59s"', 'overdue "59s" is too short. Write "1m" or more.'),
        ("overdue", f'"{"9" * 5000}s"', "overdue "),
        ("lane", '"a lane"', 'lane "a lane" is not a valid name. Use 1 to 63 letters, digits, dots, dashes'),
        ("lane", f'"{"a" * 64}"', f'lane "{"a" * 64}" is not a valid name.'),
        ("retries", "6", "retries is not between 0 and 5. Write a number from 0 to 5."),
        ("retries", "-1", "retries is not between 0 and 5."),
        ("retries", "true", "retries is true or false. Write a number from 0 to 5, without quotes."),
        ("retries", "1.0", "retries is a number with a fraction."),
        ("allow_empty", '"yes"', "allow_empty is text. Write true or false."),
        ("allow_empty", "{}", "allow_empty is a table."),
        ("check", '"Code"', "check is text, not a table. Write it in braces: check = {"),
        ("check", "{}", "check is empty. Say what a file must be like"),
        ("check", '{ colums = ["Code"] }', 'check has the unknown key "colums". Did you mean "columns"?'),
        ("check", "{ columns = [] }", "check columns is empty. Name the columns"),
        ("check", '{ columns = "Code" }', "check columns is text, not a list."),
        ("check", "{ columns = [1] }", "check columns contains a number, not text."),
        ("check", '{ columns = ["Code", " "] }', "check columns contains an empty name."),
        ("check", '{ columns = ["Code", "Name", "Code"] }', 'check columns contains "Code" twice.'),
        (
            "check",
            '{ columns = ["Code,Name"] }',
            'check columns contains "Code,Name", which contains the delimiter ",".',
        ),
        (
            "check",
            '{ columns = ["a;b"], delimiter = ";" }',
            'check columns contains "a;b", which contains the delimiter',
        ),
        ("check", f'{{ columns = ["{"x" * 10_001}"] }}', "check columns has more than 10,000 characters in all."),
        ("check", "{ columns = {} }", "check columns is empty. Write { required ="),
        ("check", '{ columns = { reqired = ["a"] } }', 'check columns has the unknown key "reqired". Did you mean'),
        ("check", "{ columns = { required = [] } }", "check columns required is empty."),
        ("check", '{ columns = { required = ["a", "a"] } }', 'check columns required contains "a" twice.'),
        ("check", '{ delimiter = "" }', 'check delimiter "" is not one character.'),
        ("check", '{ delimiter = ";;" }', 'check delimiter ";;" is not one character.'),
        ("check", '{ delimiter = "tab" }', 'check delimiter "tab" is not one character. Write the character itself'),
        ("check", """{ delimiter = '"' }""", 'check delimiter """ cannot separate columns.'),
        ("check", '{ delimiter = "\\n" }', 'check delimiter "\\n" cannot separate columns.'),
        ("check", '{ delimiter = "\\r" }', 'check delimiter "\\r" cannot separate columns.'),
        ("check", '{ encoding = "utf-9" }', 'check encoding "utf-9" is not known. Known are: utf-8, utf-16,'),
        ("check", "{ encoding = 8 }", "check encoding is a number, not text."),
        ("check", "{ min_rows = -1 }", "check min_rows is not between 0 and 10000000."),
        ("check", f"{{ min_rows = 1{'0' * 40} }}", "check min_rows is not between 0 and 10000000."),
        ("check", '{ min_rows = "1" }', "check min_rows is text. Write a number"),
        ("check", "{ min_rows = true }", "check min_rows is true or false."),
        ("check", "{ shrink = 50 }", 'check shrink is a number. Write it as in "50%", in quotes.'),
        ("check", '{ shrink = "101%" }', 'check shrink "101%" is not between "0%" and "100%".'),
        ("check", '{ shrink = "50" }', 'check shrink "50" is not between'),
        ("check", '{ shrink = "-5%" }', 'check shrink "-5%" is not between'),
        ("check", '{ shrink = "12.5%" }', 'check shrink "12.5%" is not between'),
    ],
)
def test_a_wrong_value_is_refused_with_file_route_reason_and_remedy(key: str, value: str, reason: str) -> None:
    (found,) = findings(table(**{key: value}))

    assert found.startswith(f'routes.toml: route "accounts": {reason}')


@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        ({"settle": '"99m"'}, Mistake('settle "99m" is too long', 'Write "15m" or less.', "settle", "99m", "accounts")),
        ({"name": ""}, Mistake("name is missing", 'Add it, as in name = "accounts".', "name", None, 1)),
        (each("incoming/accounts/x"), Mistake(
            'stage_to "incoming/accounts/x" lies under its own prefix; every copy would trigger another load',
            "Use a key outside every route's prefix.",
            "stage_to",
            "incoming/accounts/x",
            "accounts",
        )),
    ],
)  # fmt: skip
def test_a_mistake_has_its_parts(values: dict[str, str], mistake: Mistake) -> None:
    with pytest.raises(RoutesInvalid) as refusal:
        routes(table(**values))

    assert refusal.value.mistakes == (replace(mistake, file="routes.toml"),)


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ({"name": ""}, 'route 1: name is missing. Add it, as in name = "accounts".'),
        ({"name": '""'}, 'route 1: name "" is not a valid name.'),
        ({"name": "7"}, "route 1: name is a number, not text."),
        ({"prefix": ""}, 'route "accounts": prefix is missing. Add it, as in prefix = "incoming/accounts/".'),
        ({"integration": ""}, 'route "accounts": it runs nothing. Add integration = "…" or flow = "…"'),
        ({"flow": f'"{TWO}"'}, 'route "accounts": it names both an integration and a flow. Keep the one'),
        ({"load": '"each"'}, 'route "accounts": load = "each" needs a stage_to.'),
        ({"stage_to": '"source/a.csv"'}, 'route "accounts": stage_to is set, but load = "latest"'),
        (each("source/"), 'route "accounts": stage_to "source/" is not the key of a file.'),
        (each(""), 'route "accounts": stage_to "" is not the key of a file.'),
    ],
)
def test_a_route_that_lacks_something_is_refused(values: dict[str, str], finding: str) -> None:
    (found,) = findings(table(**values))

    assert found.startswith(f"routes.toml: {finding}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("exclude", str([f"{number:04}" + "x" * 400 + "*" for number in range(100)])),
        ("needs", str([f"{number:04}" + "é" * 200 for number in range(100)])),
        ("window", str(["19:00-06:30 Europe/London mon-fri"] * 1_000)),
    ],
)
def test_a_route_that_is_too_large_to_be_stored_with_every_upload_is_refused(key: str, value: str) -> None:
    (found,) = findings(table(**{key: value}))

    assert re.fullmatch(
        r'routes.toml: route "accounts": it takes [34]\d,\d{3} bytes, and every upload is stored with its route. '
        r"Shorten its lists of names and patterns: at most 32,768 bytes are allowed.",
        found,
    )


def test_every_mistake_is_told_at_once() -> None:
    found = findings(table(settle="30", retries="9"), other(name='"accounts"', flow=f'"{TWO}"', lane='"a b"'))

    assert [line.partition("accounts")[2].split()[1] for line in found] == ["settle", "retries", "lane", "it", "2"]


def test_every_mistake_of_a_check_is_told_at_once() -> None:
    found = findings(table(check='{ colums = ["a"], delimiter = ";;", min_rows = -1, shrink = "5" }'))

    assert [line.partition("check ")[2].split()[0] for line in found] == ["has", "delimiter", "min_rows", "shrink"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{ columns = ["Code", "Name"] }', Check(columns=("Code", "Name"))),
        ('{ columns = { required = ["Code"] } }', Check(required=("Code",))),
        ('{ delimiter = "\\t" }', Check(delimiter="\t")),
        ('{ encoding = "UTF8" }', Check()),
        ('{ encoding = "Latin-1", min_rows = 0 }', Check(encoding="iso-8859-1")),
        ('{ encoding = "ISO_8859-1" }', Check(encoding="iso-8859-1")),
        ('{ encoding = "cp1252" }', Check(encoding="windows-1252")),
        ('{ encoding = "UTF-16LE" }', Check(encoding="utf-16-le")),
        ('{ min_rows = 3, shrink = "0%" }', Check(min_rows=3, shrink=0)),
        ('{ shrink = "100 %" }', Check(shrink=100)),
    ],
)
def test_a_check_is_read(written: str, read: Check) -> None:
    assert [route.check for route in routes(table(check=written))] == [read]


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    st.lists(NAMES.filter(lambda name: is_listable(name, ";")), min_size=1, max_size=5, unique=True).map(tuple),
    st.sampled_from(ENCODINGS),
    st.integers(0, 99),
    st.none() | st.integers(0, 100),
    st.booleans(),
)
def test_a_check_is_written_as_it_is_read(
    names: tuple[str, ...], encoding: str, rows: int, shrink: int | None, exact: bool
) -> None:
    listed = {"columns": names} if exact else {"required": names}
    check = Check(delimiter=";", encoding=encoding, min_rows=rows, shrink=shrink, **listed)
    (route,) = routes(table(check=as_toml(check).removeprefix("check = ")))

    assert route.check == check


def test_a_route_with_a_check_is_kept_with_its_uploads() -> None:
    (route,) = routes(table(check='{ columns = ["Code"], min_rows = 2, shrink = "10%" }'))

    assert msgspec.convert(msgspec.to_builtins(route), Route) == route


def test_a_refusal_stays_on_its_line_for_any_file() -> None:
    (found,) = findings(table(lane='"a\\n\\u001b[31m\\u2028b"'))

    assert 'lane "a\\n\\x1b[31m\\u2028b" is not a valid name' in found


# Refusing what routes do to one another


def test_two_routes_of_one_name_are_refused() -> None:
    assert findings(table(), other(name='"accounts"')) == (
        'routes.toml: route "accounts": 2 routes have this name (numbers 1, 2). Rename all but one.',
    )


@pytest.mark.parametrize("shared", [{}, {"bucket": '"inbox"'}, {"suffix": '".csv"'}])
def test_two_routes_with_the_same_prefix_suffix_and_bucket_are_refused(shared: dict[str, str]) -> None:
    (found,) = findings(table(**shared), other(prefix='"incoming/accounts/"', **shared))

    assert 'route "other": it has the prefix, suffix and bucket of route "accounts"' in found


def test_two_routes_may_share_a_prefix_if_suffix_or_bucket_differ() -> None:
    same = '"incoming/accounts/"'

    assert len(routes(table(), other(prefix=same, suffix='".csv"'))) == 2
    assert len(routes(table(), other(prefix=same, bucket='"inbox"'))) == 2


def test_a_copy_that_would_load_itself_is_refused() -> None:
    assert findings(table(**each("incoming/accounts/x.csv"))) == (
        'routes.toml: route "accounts": stage_to "incoming/accounts/x.csv" lies under its own prefix; every copy would '
        "trigger another load. Use a key outside every route's prefix.",
    )


def test_a_copy_that_another_route_would_load_is_refused() -> None:
    (found,) = findings(table(**each("incoming/other/x.csv")), other())

    assert 'route "accounts": stage_to "incoming/other/x.csv" matches route "other"' in found


@pytest.mark.parametrize(
    ("mine", "theirs", "loops"),
    [("", "", True), ('"a-1"', "", True), ("", '"a-1"', True), ('"a-1"', '"a-1"', True), ('"a-1"', '"b-1"', False)],
)
def test_a_copy_stays_in_its_uploads_bucket(mine: str, theirs: str, loops: bool) -> None:
    tables = table(bucket=mine, **each("incoming/other/x.csv")), other(bucket=theirs)

    if loops:
        assert 'matches route "other"' in findings(*tables)[0]
    else:
        assert len(routes(*tables)) == 2


def test_a_copy_whose_suffix_no_route_takes_is_not_a_loop() -> None:
    assert len(routes(table(suffix='".csv"', **each("incoming/accounts/current.staged")))) == 1


@pytest.mark.parametrize("prefix", ['""', '"reports/"', '"rep"', '"reports/accounts/"'])
def test_a_route_that_would_load_our_own_reports_is_refused(prefix: str) -> None:
    (found,) = findings(table(prefix=prefix), reports=("reports-bucket", "reports/"))

    assert "includes the reports in s3://reports-bucket/reports/; every report would trigger a load." in found


@pytest.mark.parametrize(
    "values",
    [{}, {"prefix": '""', "bucket": '"inbox"'}, {"prefix": '"reporting/"'}],
    ids=["elsewhere", "another bucket", "another prefix"],
)
def test_a_route_that_keeps_clear_of_the_reports_is_not(values: dict[str, str]) -> None:
    assert len(routes(table(**values), reports=("reports-bucket", "reports/"))) == 1


def test_one_integration_in_two_lanes_is_refused() -> None:
    (found,) = findings(table(), other(integration=f'"{ONE}"', lane='"mine"'))

    assert f'route "other": it runs {ONE} in lane "mine", but route "accounts" in lane "{ONE}"' in found
    assert found.endswith("Give both the same lane.")


def test_one_integration_may_serve_two_routes_of_one_lane() -> None:
    assert routes(table(), other(integration=f'"{ONE}"')).lanes == (ONE,)


def test_a_lane_named_like_anothers_integration_is_refused() -> None:
    (found,) = findings(table(), other(lane=f'"{ONE}"'))

    assert f'route "other": its lane "{ONE}" is the id of what route "accounts" runs.' in found


def test_two_lanes_that_stage_to_one_key_are_refused() -> None:
    (found,) = findings(table(**each("source/a.csv")), other(**each("source/a.csv")))

    assert 'route "other": it stages to "source/a.csv" like route "accounts" but in another lane' in found


@pytest.mark.parametrize(
    "values", [{"lane": '"model"'}, {"bucket": '"other-inbox"'}], ids=["the same lane", "another bucket"]
)
def test_two_routes_may_stage_to_one_key_where_they_cannot_race(values: dict[str, str]) -> None:
    first = {"bucket": '"inbox"'} | {key: value for key, value in values.items() if key == "lane"}

    assert len(routes(table(**first, **each("source/a.csv")), other(**values, **each("source/a.csv")))) == 2


# Matching


NESTED = routes(
    table(name='"all"', prefix='"in/"', integration=f'"{ONE}"'),
    table(name='"deep"', prefix='"in/deep/"', integration=f'"{ONE}"'),
    table(name='"csv"', prefix='"in/"', suffix='".csv"', integration=f'"{ONE}"'),
    table(name='"gz"', prefix='"in/"', suffix='".csv.gz"', integration=f'"{ONE}"'),
    table(name='"own"', prefix='"in/"', bucket='"own-bucket"', integration=f'"{ONE}"'),
    table(name='"staging"', prefix='"each/"', integration=f'"{TWO}"', **each("source/x.csv")),
)


@pytest.mark.parametrize(
    ("bucket", "key", "name"),
    [
        ("inbox", "in/a.txt", "all"),
        ("inbox", "in/a.csv", "csv"),
        ("inbox", "in/a.csv.gz", "gz"),
        ("inbox", "in/deep/a.csv", "deep"),
        ("own-bucket", "in/a.csv", "own"),
        ("own-bucket", "in/deep/a.csv", "deep"),
        ("inbox", "in/", "all"),
        ("inbox", "in", None),
        ("inbox", "IN/a.csv", None),
        ("inbox", "out/in/a.csv", None),
        ("inbox", "source/x.csv", None),
    ],
)
def test_the_longest_prefix_wins_then_a_named_bucket_then_the_longer_suffix(
    bucket: str, key: str, name: str | None
) -> None:
    assert matched(NESTED, bucket, key) == name


def test_the_order_of_the_file_does_not_matter() -> None:
    backwards = Routes(tuple(reversed(NESTED.routes)))

    assert matched(backwards, "own-bucket", "in/a.csv") == "own"


def test_our_own_copies_are_known_in_the_buckets_that_they_are_made_in() -> None:
    anywhere = routes(table(**each("source/x.csv")))
    in_one = routes(table(bucket='"inbox"', **each("source/x.csv")))

    assert anywhere.is_staged("any-bucket", "source/x.csv")
    assert in_one.is_staged("inbox", "source/x.csv")
    assert not in_one.is_staged("other", "source/x.csv")
    assert not anywhere.is_staged("any-bucket", "source/y.csv")


# Explaining


def test_an_explanation_names_the_route_and_those_that_came_close() -> None:
    explained = explain(NESTED, "inbox", "in/a.csv")

    assert explained.route == NESTED.match("inbox", "in/a.csv")
    assert explained.why == 'route "csv" has the closest prefix "in/" and suffix ".csv", in any bucket'
    assert {miss.route.name: miss.why for miss in explained.near_misses} == {
        "all": 'it matches too, but route "csv" is closer',
        "gz": 'its suffix is ".csv.gz"',
        "own": 'it loads from bucket "own-bucket" only',
    }


def test_an_explanation_names_the_bucket_of_a_route_that_has_one() -> None:
    assert (
        explain(NESTED, "own-bucket", "in/x").why == 'route "own" has the closest prefix "in/", in bucket "own-bucket"'
    )


def test_an_explanation_points_at_upper_and_lower_case() -> None:
    explained = explain(NESTED, "inbox", "Each/x.csv")

    assert explained.route is None
    assert explained.why == "no route matches it: counted as unrouted, not loaded"
    assert [(miss.route.name, miss.why) for miss in explained.near_misses] == [
        ("staging", 'its prefix "each/" differs in upper and lower case')
    ]


def test_an_explanation_knows_our_own_copies() -> None:
    explained = explain(NESTED, "inbox", "source/x.csv")

    assert explained.route is None
    assert explained.why == 'it is the copy that route "staging" stages for its integration: ignored'
