"""Decides how a run ended, and whether to try it again, from its success, its code and its message."""

from __future__ import annotations

import re
from typing import Literal

Outcome = Literal["loaded", "partial", "failed"]
"""How a run ends."""
Ending = Literal["loaded", "partial", "failed", "rejected"]
"""How a batch ends: as its run does, or without a run. Rejected: the file failed its check, or no run would read it."""
ReportOutcome = Literal[
    "loaded", "partial", "failed", "rejected", "held", "overdue", "incomplete", "missing", "recovered"
]
"""What is announced: how a batch ended, log-in refused (`held`), a run that takes long (`overdue`), a set of files that
is not complete in time (`incomplete`), and how a route stands (`missing`, `recovered`)."""

PARTIAL = 38
"""The `executionErrorCode` of a run that loaded some rows and left others out."""
DATA_MISMATCH = 12
"""The `executionErrorCode` of a run whose data has the wrong type; the same file would fail again."""

_PASSING = r"""(?x)
        \bconnection\ (?:\w+\ ){0,2}(?:error|failed|failure|refused|reset|lost|closed|broken|aborted|timeout)
        |\bconnection\ to\ .{1,60}\ (?:failed|lost)\b
        |\b(?:fail\w*|unable|could\ not|couldn't|cannot)\ (?:to\ )?connect\b
        |\btrigger\ error\b|\binternal\b(?!\ id)|\bserver\ error\b|\bservice\b.{0,20}\bunavailable\b|\bbad\ gateway\b
        |\btimeout\b|\btime-?out\b|\btemporar|\btry\ again\b|\bretry\ later\b|\bthrottl|\btoo\ many\ requests\b
        |\bmodel\b.{0,40}\b(?:locked|busy|unavailable|offline|opening|maintenance|being\ \w+)|\bunder\ maintenance\b
        |\bserver\ (?:is\ )?busy\b|\bnetwork\ (?:is\ )?(?:error|unreachable)\b|\bhost\ (?:is\ )?unreachable\b
        |\brate\ limit\b|\bdeadlock\b|\bsocket\ (?:error|closed|reset)\b
"""
"""CloudWorks' words for errors that may pass by themselves."""
_LASTING = r"""(?x)
        \bdeleted\b|\bnot\ found\b|\bno\ longer\ exists?\b|\bdoes\ not\ exist\b|\barchived\b|\binvalid\b|\bnot\ valid\b
        |\bdenied\b|\bnot\ (?:permitted|authori[sz]ed|entitled|allowed)\b|\bcredentials?\b|\bcancel|\baborted\ by\b
        |\b(?:row|record|line|item)s?\ (?:(?:were|was|are|is)\ )?(?:fail|reject|ignor|skip|invalid)
        |\b(?:fail|reject|ignor|skip)\w*\ (?:row|record|line|item)s?\b|\bmismatch|\bduplicate|\bdata\ type\b|\bcolumn
"""
"""CloudWorks' words for errors that stay until somebody corrects them."""


def outcome_of(success: bool | None, error_code: int | None, message: str) -> Outcome:
    """How a run ended.

    Partial: code 38, or success with a message about rows that were left out, because CloudWorks calls such a run a
    success. Loaded: success without a code or such a message. Failed: everything else, and a cancelled run.
    """
    if error_code == PARTIAL:
        return "partial"
    if not success or error_code:
        return "failed"
    from anaplan_autoload.domain import wording  # no run has ended when a function instance starts

    said = wording.read(message)
    if said.cancelled:
        return "failed"
    return "partial" if said.left_out else "loaded"


def may_heal(error_code: int | None, message: str) -> bool:
    """Whether a failed run may succeed if it is started again, because CloudWorks or the model was busy or unreachable.

    Names in quotation marks are ignored, and so is code 46, which connections have and runs do not.
    """
    if error_code in (DATA_MISMATCH, PARTIAL):
        return False
    from anaplan_autoload.domain import wording

    said = wording.prose(message)
    return re.search(_PASSING, said) is not None and re.search(_LASTING, said) is None
