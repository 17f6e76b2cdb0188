"""What is kept of rejected rows: exact for programs, disarmed for people."""

from __future__ import annotations

import csv
import io
import json
import re
import tracemalloc
from typing import TYPE_CHECKING, Literal

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from anaplan_autoload.aws import rejected_rows
from anaplan_autoload.report.report import ReportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_s3 import S3Client

RUN = "3f0c43a93bc84bcb9f37dd59a75eb940"
URL = f"s3://reports/reports/accounts/2026-11-24/{RUN}/"
BAD_DATE = ReportedError("Import Accounts", "Invalid date", 17, ("31.02.2026", "n/a"))


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield


@pytest.fixture
def s3() -> S3Client:
    client = boto3.client("s3")
    client.create_bucket(Bucket="reports", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return client


def stored(s3: S3Client) -> dict[str, bytes]:
    listed = s3.list_objects_v2(Bucket="reports").get("Contents", [])
    return {each["Key"]: s3.get_object(Bucket="reports", Key=each["Key"])["Body"].read() for each in listed}


PREFIX = f"reports/accounts/2026-11-24/{RUN}/"


def test_the_prefix_is_made_of_route_day_and_run() -> None:
    assert rejected_rows.report_prefix("accounts", "2026-11-24T23:59:59.000Z", RUN) == PREFIX


@pytest.mark.parametrize(
    ("route", "part"),
    [("../../etc", "_.._etc"), ("a/b c\n", "a_b_c_"), ("", "unnamed"), ("...", "unnamed"), ("数", "_")],
)
def test_no_name_escapes_from_its_folder(route: str, part: str) -> None:
    assert rejected_rows.report_prefix(route, "2026-11-24T00:00:00.000Z", RUN) == f"reports/{part}/2026-11-24/{RUN}/"


def test_rejected_rows_are_stored_for_people_and_for_programs(s3: S3Client) -> None:
    rows = [b"Code,Name,Amount\r\nA1,=cmd|' /C calc'", b"!A0,-12.5\r\n"]

    url = rejected_rows.save_rejected_rows(s3, "reports", PREFIX, "import/112", rows)

    assert url == URL
    assert stored(s3) == {
        f"{PREFIX}import_112.csv": b"Code,Name,Amount\r\nA1,'=cmd|' /C calc'!A0,-12.5\r\n",
        f"{PREFIX}import_112.csv.original": b"".join(rows),
    }


def test_saving_again_changes_nothing(s3: S3Client) -> None:
    for _ in range(2):
        rejected_rows.save_rejected_rows(s3, "reports", PREFIX, "112", [b"a,b\n"])
        rejected_rows.save_errors(s3, "reports", PREFIX, [BAD_DATE])

    names = ["112.csv", "112.csv.original", "errors.csv", "errors.json"]
    assert list(stored(s3)) == [PREFIX + name for name in names]


def test_a_large_dump_arrives_whole(s3: S3Client) -> None:
    line = b"A1,=1+1,-5," + b"x" * 1000 + b"\n"

    rejected_rows.save_rejected_rows(s3, "reports", PREFIX, "112", (line * 1000 for _ in range(17)))

    saved = stored(s3)
    assert saved[f"{PREFIX}112.csv.original"] == line * 17_000
    assert saved[f"{PREFIX}112.csv"] == line.replace(b"=1+1", b"'=1+1") * 17_000


def test_a_dump_that_breaks_off_leaves_nothing_behind(s3: S3Client) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a,b\n"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        rejected_rows.save_rejected_rows(s3, "reports", PREFIX, "112", broken())

    assert stored(s3) == {}


def test_errors_are_stored_as_they_are_for_programs_and_harmless_for_people(s3: S3Client) -> None:
    error = ReportedError("=Import", "Größe, falsch", 3, ("-1", "\ud800@x"))

    assert rejected_rows.save_errors(s3, "reports", PREFIX, [error]) == URL

    saved = stored(s3)
    assert json.loads(saved[f"{PREFIX}errors.json"]) == [
        {"action": "=Import", "message": "Größe, falsch", "occurrences": 3, "values": ["-1", "\ud800@x"]}
    ]
    assert list(csv.reader(io.StringIO(saved[f"{PREFIX}errors.csv"].decode("utf-8-sig"), newline=""))) == [
        ["action", "message", "occurrences", "values"],
        ["'=Import", "Größe, falsch", "3", "'-1; ?@x"],
    ]


def harmless(*chunks: bytes) -> bytes:
    return b"".join(rejected_rows.without_formulas(chunks))


@pytest.mark.parametrize(
    ("row", "safe"),
    [
        (b"=1+1,a", b"'=1+1,a"),
        (b"a,@SUM(A1)", b"a,'@SUM(A1)"),
        (b"a,+cmd,-cmd", b"a,'+cmd,'-cmd"),
        (b'a,"=HYPERLINK(""http://x"",1)"', b'a,"\'=HYPERLINK(""http://x"",1)"'),
        (b'"\t=1","\r=1"', b'"\'\t=1","\'\r=1"'),
        (b"a,\t=1", b"a,'\t'=1"),
        (b"a;=1;b", b"a;'=1;b"),
        (b"a\t=1\t\tb", b"a\t'=1\t\tb"),
        (b"a\n=1\r=2\r\n=3", b"a\n'=1\r'=2\r\n'=3"),
        (b"\xef\xbb\xbf=1,a", b"\xef\xbb\xbf'=1,a"),
        (b"-2+3+cmd|' /C calc'!A0,a", b"'-2+3+cmd|' /C calc'!A0,a"),
        (b'"\n=1",a', b'"\'\n=1",a'),
        ("a,＝1+1,＋1\n".encode(), "a,'＝1+1,'＋1\n".encode()),
        ('"－1","＠x"\n'.encode(), '"\'－1","\'＠x"\n'.encode()),
        (b'5" pipe,=1+1\n', b"5\" pipe,'=1+1\n"),
        (b'a"b,"c",=1\n"d","=1"\n', b'a"b,"c",\'=1\n"d","\'=1"\n'),
        (b'"a"b"c,=1\n', b'"a"b"c,\'=1\n'),
        (b'a"",=1\n', b'a"",\'=1\n'),
        (b'"a""",=1,"","=1"\n', b'"a""",\'=1,"","\'=1"\n'),
    ],
)
def test_a_cell_that_starts_like_a_formula_is_disarmed(row: bytes, safe: bytes) -> None:
    assert harmless(row) == safe


@pytest.mark.parametrize(
    "row",
    [
        b"A1,-12.5,+3,-.5,-1e-9,-5%\r\n",
        b'"-1,234.50","+7"\n',
        b"a=b,a@b,1-2,x+y\n",
        b'"a,=b","c\n=d","e""=f"\n',
        b'"""=g"\n',
        b",,\r\n,\n",
        "é,数,\n".encode(),
        b"",
    ],
)
def test_numbers_and_all_other_cells_stay_as_they_are(row: bytes) -> None:
    assert harmless(row) == row


def test_a_cell_that_only_begins_with_a_number_is_disarmed() -> None:
    assert harmless(b'"-1""x",-1,"-1"\n') == b'"\'-1""x",-1,"-1"\n'


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_it_does_not_matter_how_a_dump_is_cut_into_chunks(size: int) -> None:
    dump = b'Code,Amount\r\n=A,-12.5\r\n"b\n=c,""=d","-3"\r\n"=e","-x"\r\n'
    chunks = [dump[start : start + size] for start in range(0, len(dump), size)]

    assert harmless(*chunks) == b'Code,Amount\r\n\'=A,-12.5\r\n"b\n=c,""=d","-3"\r\n"\'=e","\'-x"\r\n'


CELLS = st.text(alphabet="=+-@'\"a1.,\n é", max_size=6)


@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=5),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    size=st.integers(1, 20),
)
def test_any_csv_reads_as_before_but_for_a_quote_before_formulas(
    rows: list[list[str]], quoting: Literal[0, 1], size: int
) -> None:
    dump = io.StringIO()
    csv.writer(dump, quoting=quoting).writerows(rows)
    data = dump.getvalue().encode()

    safe = harmless(*(data[start : start + size] for start in range(0, len(data), size))).decode()

    assert list(csv.reader(io.StringIO(safe, newline=""))) == [[disarmed(cell) for cell in row] for row in rows]


def disarmed(cell: str) -> str:
    number = re.fullmatch(r"[+-](\d[\d.,]*|\.\d+)", cell, re.ASCII)
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\n")) and not number else cell


def test_a_line_that_is_cut_for_its_length_opens_no_cell_in_its_middle() -> None:
    long = b"x" * (rejected_rows.BLOCK_BYTES + 1)

    assert harmless(long, b'",=1+1,a"\n') == long + b'",\'=1+1,a"\n'
    assert harmless(long + b",", b'"a,=1",=1\n') == long + b',"a,=1",\'=1\n'
    assert harmless(b'"' + long, b'",=1\n') == b'"' + long + b"\",'=1\n"


def test_an_endless_line_does_not_fill_the_memory() -> None:
    def endless() -> Iterable[bytes]:
        return (b"x" * 65_536 for _ in range(400))

    tracemalloc.start()
    try:
        passed = sum(map(len, rejected_rows.without_formulas(endless())))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert passed == 400 * 65_536
    assert peak < 10 * 1024 * 1024
