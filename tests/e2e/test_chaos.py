"""Everything goes wrong at once, in the function as it is deployed, and the promise is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.chaos.plan import draw
from local.chaos.report import report
from local.chaos.storm import rage
from local.chaos.verdict import judge

SEED = 1
DEADLINE_SECONDS = 180


@pytest.mark.timeout(DEADLINE_SECONDS + 60)
def test_the_promise_is_kept_while_everything_goes_wrong_at_once(logs: Path) -> None:
    plan = draw(SEED, uploads=50, routes=6)
    evidence = rage(plan, DEADLINE_SECONDS, logs=logs / "chaos")
    verdict = judge(evidence)
    written = report(plan, evidence, verdict)
    assert not verdict.broken, written
    assert len(evidence.made) == len(plan.uploads)
    assert evidence.trouble.kills, written
    assert evidence.trouble.events > len(evidence.made), written
    assert any(request.fault for request in evidence.requests), written
