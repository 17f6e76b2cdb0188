"""A simulator that deviates from what CloudWorks is assumed to answer, for tests of code that must notice it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from local.cloudworks import Simulator
from local.cloudworks.http_messages import Answer, Request
from local.cloudworks.simulator import Reply

Change = Callable[[Any], Any]
"""Changes the answer's JSON in place, or returns other JSON."""
Applies = Callable[[Request], bool]


class DeviatingSimulator(Simulator):
    """Call `deviate` and `answer_with`; `behave` ends it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._rules: list[tuple[Applies, Callable[[Answer], Answer]]] = []

    def deviate(self, path: str, change: Change) -> None:
        """Change the JSON of successful answers to paths (without `/2/0`) that match the whole pattern."""

        def changed(answer: Answer) -> Answer:
            if answer.status >= 300:
                return answer
            content = msgspec.json.decode(answer.body)
            other = change(content)
            return replace(answer, body=msgspec.json.encode(content if other is None else other))

        self._rules.append((_matches(path), changed))

    def answer_with(
        self,
        path: str,
        status: int,
        body: bytes = b"",
        content_type: str = "application/json",
        when: Applies | None = None,
    ) -> None:
        """Answer those requests with this instead, where `when` says so."""
        is_path = _matches(path)
        self._rules.append(
            (
                lambda request: is_path(request) and (when is None or when(request)),
                lambda _: Answer(status, body, content_type),
            )
        )

    def behave(self) -> None:
        """Answer as assumed again."""
        self._rules.clear()

    def handle(self, request: Request) -> Reply:
        """As the simulator does, then changed."""
        reply = super().handle(request)
        for applies, change in self._rules:
            if reply.answer is not None and applies(request):
                reply = replace(reply, answer=change(reply.answer))
        return reply


def _matches(path: str) -> Applies:
    pattern = re.compile(rf"(?:/2/0)?{path}")
    return lambda request: pattern.fullmatch(request.path) is not None
