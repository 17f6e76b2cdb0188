"""What a storm brings depends on its seed and its size, and on nothing else."""

from __future__ import annotations

import pytest

from anaplan_autoload.domain.routes_file.parsing import parse
from local.chaos.plan import SHARED_LANE, draw


def test_the_same_seed_draws_the_same_storm_and_another_seed_another() -> None:
    assert draw(7, 100, 6) == draw(7, 100, 6)
    assert draw(7, 100, 6) != draw(8, 100, 6)


def test_a_storm_has_as_many_uploads_as_asked_for_and_no_two_are_equal() -> None:
    plan = draw(1, 300, 20)
    assert len({upload.sha256 for upload in plan.uploads}) == 300


def test_a_small_storm_has_its_share_of_everything() -> None:
    plan = draw(1, 10, 2)
    assert plan.kills and plan.stops
    assert any(len(upload.deliveries) > 1 for upload in plan.uploads)
    assert any(upload.deliveries[0] > 0 for upload in plan.uploads)
    assert all(blow.at <= plan.seconds for blow in (*plan.kills, *plan.stops))


def test_the_routes_have_no_mistakes_use_both_modes_and_two_share_a_lane() -> None:
    plan = draw(1, 10, 6)
    text = "\n".join(route.toml(f"{number:032x}") for number, route in enumerate(plan.routes))
    parsed = list(parse(text, "routes.toml"))
    assert [route.load for route in parsed] == ["latest", "each"] * 3
    assert [route.lane for route in parsed] == [None] * 4 + [SHARED_LANE] * 2


@pytest.mark.parametrize(("uploads", "count"), [(0, 6), (10, 1)])
def test_a_storm_without_uploads_or_modes_is_refused(uploads: int, count: int) -> None:
    with pytest.raises(ValueError, match="ask for at least"):
        draw(1, uploads, count)
