"""The alarm of a surge: once for each height, and its end only after a minute of calm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from newsletter.web.surges import Surges

_START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ([(0, 0), (1, 0), (2, 0)], []),
        ([(0, 1), (1, 1), (2, 2), (3, 2)], ["surge 1", "surge 2"]),
        ([(0, 1), (1, 0), (2, 1), (30, 0), (60, 1), (119, 0)], ["surge 1"]),
        ([(0, 4), (30, 1), (61, 1), (90, 0), (122, 0)], ["surge 4", "surge_over"]),
        ([(0, 1), (61, 0), (62, 1)], ["surge 1", "surge_over", "surge 1"]),
    ],
    ids=["calm", "growing", "calm between", "ending slowly", "again"],
)
def test_a_surge_is_told_when_it_begins_grows_and_ends(notes: list[tuple[int, int]], said: list[str]) -> None:
    surges = Surges()

    with capture_logs() as logs:
        for seconds, level in notes:
            surges.note(level, _START + timedelta(seconds=seconds))

    assert [
        " ".join([line["event"], *map(str, [line["height"]] if "height" in line else [])]) for line in logs
    ] == said
