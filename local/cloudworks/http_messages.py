"""Requests, answers and endpoints, without sockets."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from local.cloudworks.json_shapes import Paging, Status
from local.cloudworks.tenant import Role, User

T = TypeVar("T")

DEFAULT_PAGE = 25


class Request(Struct, frozen=True):
    """One HTTP request."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""

    def __repr__(self) -> str:
        """Without headers and body: both carry secrets."""
        return f"Request({self.method} {self.path})"


class Answer(Struct, frozen=True):
    """One HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        """`message` goes into the answer."""
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message


class Call(Struct, frozen=True):
    """A request whose sender is known and whose endpoint was found."""

    user: User
    role: Role
    """The user's."""
    request: Request
    args: tuple[str, ...]
    """The ids in the path, in order."""
    largest_page: int | None = None
    """The most items that a page may hold."""

    def decode(self, shape: type[T]) -> T:
        """The body as `shape`; refused with 400 where it is anything else."""
        return decode(self.request.body, shape)

    def number(self, name: str, default: int) -> int:
        """A query parameter that is a whole number from 0."""
        text = self.request.query.get(name, str(default))
        if not text.isdecimal():
            raise Refusal(400, f"Invalid value for {name}")
        return int(text)

    def page(self, items: Sequence[T]) -> tuple[tuple[T, ...], Paging]:
        """The part of a list that `offset` and `limit` ask for: 25 from the beginning, unless told."""
        offset = self.number("offset", 0)
        limit = self.number("limit", DEFAULT_PAGE)
        if self.largest_page is not None:
            limit = min(limit, self.largest_page)
        part = tuple(items[offset : offset + limit])
        return part, Paging(current_page_size=len(part), total_size=len(items), offset=offset)


class Endpoint(Struct, frozen=True):
    """One operation: where it is found, and what it does."""

    method: str
    pattern: re.Pattern[str]
    act: Callable[[Call], Answer]
    denied: tuple[int, str] = (403, "Not Permitted")
    """The answer to a user without a role."""


NOT_ENTITLED = (452, "Tenant not entitled")


def endpoint(
    method: str, path: str, act: Callable[[Call], Answer], denied: tuple[int, str] = (403, "Not Permitted")
) -> Endpoint:
    """An endpoint whose path may have `{}` where ids stand."""
    return Endpoint(method, re.compile(path.replace("{}", "([^/]+)")), act, denied)


def decode(body: bytes, shape: type[T]) -> T:
    """JSON as `shape`; refused with 400 where it is anything else."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise Refusal(400, "Invalid request body") from error


def json_answer(status: int, content: object) -> Answer:
    """Any content as JSON."""
    return Answer(status, msgspec.json.encode(content))


def success(**parts: object) -> Answer:
    """200, with the usual head."""
    return json_answer(200, {"status": Status(code=200, message="Success"), **parts})


def unrouted() -> Answer:
    """The answer of the web server in front of the services to an unknown path: HTML, not JSON."""
    page = b"<html>\r\n<head><title>404 Not Found</title></head>\r\n<body><h1>404 Not Found</h1></body>\r\n</html>\r\n"
    return Answer(404, page, "text/html")
