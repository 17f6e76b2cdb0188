"""Answers whose texts are damaged: the rest of the answer is read all the same."""

from __future__ import annotations

import pytest
from msgspec import Struct, ValidationError

from anaplan_autoload.anaplan.json_text import decoded


class Said(Struct):
    """What an answer says."""

    message: str


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"message": "café"}'.encode("latin-1"), "caf\ufffd"),
        (b'{"message": "a\tb\nc\0"}', "a b c "),
        (rb'{"message": "cut \ud83d"}', "cut \ufffd"),
        (rb'{"message": "\ude00 \ud83d\ud83d\ude00"}', "\ufffd \ufffd\U0001f600"),
        (rb'{"message": "\\ud83d \\\ud83d"}', "\\ud83d \\\ufffd"),
        (b'\xef\xbb\xbf{"message": "marked"}', "marked"),
        (b'{"message": "padded"}\r\n\0\0', "padded"),
        (b'{"message": "whole \xe2\x82\xac"}', "whole €"),
    ],
)
def test_a_damaged_text_hides_nothing_else(body: bytes, message: str) -> None:
    assert decoded(body, Said) == Said(message)
    assert decoded(body) == {"message": message}


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"message": "a"}{}', b'{"message": "a\\x"}', b"\xff\xfe{\0"])
def test_a_text_that_cannot_be_repaired_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        decoded(body, Said)


def test_another_form_is_not_repaired() -> None:
    with pytest.raises(ValidationError, match=r"Expected `str`, got `int` - at `\$\.message`"):
        decoded(b'{"message": 7}', Said)
