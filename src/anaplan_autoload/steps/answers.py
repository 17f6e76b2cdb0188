"""Measures how Anaplan answers in a step: within the step, so that a replay repeats nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from anaplan_autoload.anaplan.http import counting_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anaplan_autoload.aws.services import Services


@contextmanager
def answers_measured(services: Services) -> Iterator[None]:
    """Write the metric of Anaplan's answers, by kind, when the step ends, however it ends."""
    with counting_answers() as answers:
        try:
            yield
        finally:
            if answers:
                from anaplan_autoload.report.metrics import count_answers

                count_answers(answers.items(), stack=services.settings.stack)
