"""The answers to `init`'s questions, and which ones are accepted."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from typing import Literal

from msgspec import Struct

NEW = "new"
"""The answer instead of a bucket's name: the stack makes one."""
NONE = "none"
"""The answer instead of an address: nobody gets mails."""

LogIn = Literal["password", "certificate", "oauth"]
LOG_INS: tuple[LogIn, ...] = ("password", "certificate", "oauth")

AUTH = "https://auth.anaplan.com"
CLOUDWORKS = "https://api.cloudworks.anaplan.com/2/0"
_COMMON = ("us1", "us2", "us5", "us7", "eu1", "eu2", "eu4", "ap1")
_OF_THEIR_OWN = ("us9", "eu3", "eu5", "gb1", "ca1", "sg1", "ae1", "in1", "id1", "me1", "au1")
ANAPLAN_REGIONS = (*_COMMON, *_OF_THEIR_OWN)
"""Anaplan's names for its data centers."""
_AUTH_OF = {
    **{name: f"https://{name}.auth.anaplan.com" for name in _OF_THEIR_OWN},
    "ca1": "https://ca1a.auth.anaplan.com",
    "au1": "https://au1a.app2.anaplan.com",
}
_CLOUDWORKS_OF = {
    "ca1": "https://ca1a.api.anaplan.com/cloudworks/2/0",
    "au1": "https://api.cloudworks.au1a.app2.anaplan.com/2/0",
}
"""The two regions with their own CloudWorks host in Anaplan's documentation."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class NotAccepted(ValueError):
    """An answer that cannot be used; the text says why, and what to answer instead."""


class Answers(Struct, frozen=True):
    """What `init` needs to know."""

    region: str
    """AWS's: `eu-west-1`."""
    anaplan_region: str
    email: str
    """Empty: nobody gets mails."""
    bucket: str
    """An existing bucket to load from; empty: the stack makes one."""
    login: str
    integration: str
    """Its name, or its id."""
    stack: str = "anaplan-autoload"
    """The name under which it is or will be deployed."""

    @property
    def auth_url(self) -> str:
        """Anaplan's authentication service in that region."""
        return _AUTH_OF.get(self.anaplan_region, AUTH)

    @property
    def cloudworks_url(self) -> str:
        """CloudWorks in that region, as far as Anaplan documents it."""
        return _CLOUDWORKS_OF.get(self.anaplan_region, CLOUDWORKS)


class Question(Struct, frozen=True):
    """One question."""

    name: str
    """The field of `Answers`."""
    option: str
    prompt: str
    check: Callable[[str], str]
    """The answer in its usual form; raises `NotAccepted`."""
    default: str | None = None


def region(text: str) -> str:
    """A Region of AWS that this version of boto3 knows."""
    name = text.strip().lower()
    if name in _regions():
        return name
    close = get_close_matches(name, _regions(), n=2)
    instead = f"Did you mean {' or '.join(close)}?" if close else "Its name is like eu-west-1: the console shows it."
    raise NotAccepted(f"{text!r} is not an AWS Region. {instead}")


@cache
def _regions() -> list[str]:
    import boto3

    session = boto3.session.Session()
    partitions = session.get_available_partitions()
    return [name for partition in partitions for name in session.get_available_regions("lambda", partition)]


def anaplan_region(text: str) -> str:
    """A region of Anaplan; the letter at the end of `us1a` is left out."""
    name = text.strip().lower()
    name = name.removesuffix("a") if name not in ANAPLAN_REGIONS else name
    if name in ANAPLAN_REGIONS:
        return name
    raise NotAccepted(f"{text!r} is not an Anaplan region. These are: {', '.join(ANAPLAN_REGIONS)}.")


def email(text: str) -> str:
    """One e-mail address, or nothing for `none`."""
    address = text.strip()
    if address.lower() in (NONE, ""):
        return ""
    if _EMAIL.fullmatch(address):
        return address
    raise NotAccepted(f"{text!r} is not an e-mail address. Write it as in ada@example.com, or {NONE}.")


def bucket(text: str) -> str:
    """An existing bucket's name, or nothing for `new`."""
    name = text.strip().removeprefix("s3://").rstrip("/")
    if name.lower() in (NEW, ""):
        return ""
    if _BUCKET.fullmatch(name):
        return name
    raise NotAccepted(f"{text!r} is not the name of a bucket. Write it as in finance-inbox, or {NEW}.")


def login(text: str) -> str:
    """One of the kinds of log-in; its name may be shortened."""
    found = [form for form in LOG_INS if text.strip() and form.startswith(text.strip().lower())]
    if len(found) == 1:
        return found[0]
    raise NotAccepted(f"{text!r} is not a form of the log-in. These are: {', '.join(LOG_INS)}.")


def integration(text: str) -> str:
    """Any name. Whether such an integration exists is checked later."""
    name = text.strip()
    if name:
        return name
    raise NotAccepted("The name is empty. CloudWorks shows it in the list of integrations.")


QUESTIONS = (
    Question("region", "--region", "AWS Region in which to install it, such as eu-west-1", region),
    Question(
        "anaplan_region",
        "--anaplan-region",
        "Anaplan region, as in the address https://us1a.app.anaplan.com",
        anaplan_region,
        "us1",
    ),
    Question("email", "--email", f"E-mail address that gets the messages (or: {NONE})", email),
    Question("bucket", "--bucket", f"Bucket to load from: the name of one that you have, or: {NEW}", bucket, NEW),
    Question("login", "--login", f"Log-in to Anaplan: {', '.join(LOG_INS)}", login, "password"),
    Question("integration", "--integration", "Name of the first integration in CloudWorks", integration),
)
"""The five questions; the first has two parts."""
