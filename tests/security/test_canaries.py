"""The search for secrets finds them: in every spelling, and wherever one comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from tests.security.spellings import Canaries

ROOT = Path(__file__).parents[2]
SECRET = "pässword/with+\"quotes'&more?"


@pytest.mark.parametrize(
    "spell",
    [
        str.encode,
        lambda secret: json.dumps(secret).encode(),
        lambda secret: repr({"a": secret}).encode(),
        lambda secret: quote_plus(secret).encode(),
        lambda secret: quote_plus(secret).lower().replace("%c3%a4", "%c3%a4").encode(),
        lambda secret: secret.encode().hex().encode(),
        *(
            lambda secret, before=before, encode=encode: encode(f"{before}{secret} and more".encode())
            for before in ("", "u", "us", "user:")
            for encode in (b64encode, urlsafe_b64encode)
        ),
    ],
)
def test_a_secret_is_found_in_every_spelling(spell: Callable[[str], bytes]) -> None:
    canaries = Canaries()
    canaries.plant("the password", SECRET)

    assert canaries.found_in(b"before " + spell(SECRET) + b" after") == {"the password"}


def test_a_private_key_is_found_by_any_of_its_lines() -> None:
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    canaries = Canaries()
    canaries.plant("private_key", f"-----BEGIN A KEY-----\n{line}\nqhkiG9w0BAQEFAASC\n-----END A KEY-----\n")

    assert canaries.found_in(f"a line: {line}".encode()) == {"private_key"}
    assert canaries.found_in(b64encode(b"x" + line.encode())) == {"private_key"}
    assert canaries.found_in(b"-----BEGIN RSA PRIVATE KEY-----") == {"a private key"}


def test_words_that_are_not_secrets_are_not_found() -> None:
    canaries = Canaries()
    canaries.plant("a short one", "wrong")
    canaries.plant("the password", SECRET)

    assert canaries.found_in(b"the password is wrong, as passwords are") == set()


def test_a_leak_fails_the_test_on_every_channel(tmp_path: Path) -> None:
    """Each test of `leaky.py` passes by itself; its name begins with the channel that it leaks through."""
    channels = leaks("leaky.py", tmp_path)

    assert len(channels) >= 19
    if sys.version_info < (3, 12):
        channels = {name: found for name, found in channels.items() if not name.startswith("exception")}
    missed = {
        name: found for name, found in channels.items() if not any(name.startswith(each.lower()) for each in found)
    }
    assert missed == {}


@pytest.mark.skipif(sys.platform != "linux", reason="AWS's runtime emulator runs on Linux only")
def test_a_leak_on_the_laptops_stack_is_found_wherever_it_is_kept(tmp_path: Path) -> None:
    [channels] = leaks("leaky_stack.py", tmp_path).values()

    assert {"function log", "checkpoint", "message", "ledger", "object", "dead letter"} <= channels


def leaks(file: str, directory: Path) -> dict[str, set[str]]:
    """Run the tests of a file that leaks on purpose; returns each test's name, and the channels it was caught in."""
    report = directory / "report.xml"
    leaky = [f"tests/security/{file}", "-o", "addopts=--import-mode=importlib"]
    quiet = ["-q", "--tb=no", "--show-capture=no", "-p", "no:cacheprovider", f"--junitxml={report}"]
    run = subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, "-m", "pytest", *leaky, *quiet], cwd=ROOT, env=os.environ, stdout=subprocess.DEVNULL
    )
    assert run.returncode == 1, "nothing was caught, or the tests could not be run"
    return {
        case.attrib["name"].removeprefix("test_").replace("_", " "): _channels(case)
        for case in ET.parse(report).iter("testcase")  # noqa: S314  (pytest wrote it)
    }


def _channels(case: ET.Element) -> set[str]:
    lines = [line for found in case for line in (found.text or "").splitlines()]
    named = {line.partition(": ")[2] for line in lines if ": " in line}
    return {channel.removeprefix("Captured ").removesuffix(" call") for channel in named}
