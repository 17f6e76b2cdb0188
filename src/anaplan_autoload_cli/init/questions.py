"""Asks `init`'s questions, or takes the answers from options and from an earlier call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import typer

from anaplan_autoload_cli.init.answers import QUESTIONS, Answers, NotAccepted, Question
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anaplan_autoload_cli.output import Output


def answered(
    out: Output, options: Mapping[str, str | None], before: Mapping[str, str], usual: Mapping[str, str]
) -> Answers:
    """The answers: from options, or else from an earlier call, or else typed by the user.

    `usual` are defaults of the prompts. Raises `CommandFailed` for an option that is not accepted, and if an answer is
    missing and nobody can be asked.
    """
    found = {question.name: _known(question, options, before) for question in QUESTIONS}
    missing = [question for question in QUESTIONS if found[question.name] is None]
    if missing and not out.interactive:
        raise CommandFailed(
            f"Not known, and there is no terminal to ask in: {', '.join(question.option for question in missing)}.",
            remedy="Give these options, or run it in a terminal.",
        )
    if missing:
        out.hint("Press Enter to accept the value in brackets. You can change every answer later.")
    for question in missing:
        found[question.name] = _asked(out, question, usual.get(question.name) or question.default)
    stack = options.get("stack") or before.get("stack") or usual.get("stack")
    return msgspec.convert({**found, **({"stack": stack} if stack else {})}, Answers)


def _known(question: Question, options: Mapping[str, str | None], before: Mapping[str, str]) -> str | None:
    given = options.get(question.name)
    if given is None:
        given = before.get(question.name)
    if given is None:
        return None
    try:
        return question.check(given)
    except NotAccepted as error:
        raise CommandFailed(str(error), remedy=f"Give {question.option} another value.") from None


def _asked(out: Output, question: Question, default: str | None) -> str:
    """Ask until the typed answer is accepted."""
    while True:
        typed = str(typer.prompt(question.prompt, default=default, err=True))
        try:
            return question.check(typed)
        except NotAccepted as error:
            out.warning(str(error))
