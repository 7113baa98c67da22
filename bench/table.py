"""What was measured, as lines of one table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Line:
    """One figure beside its limit. `met` is None where there is no target, or nothing was measured."""

    work: str
    ours: str
    limit: str = "–"
    ratio: str = "–"
    target: str = "–"
    met: bool | None = None
    note: str = ""

    @classmethod
    def unmeasured(cls, work: str, why: str) -> Line:
        return cls(work, "not measured", note=why)


@dataclass(frozen=True)
class Pairs:
    """The limit and ours, taken in turns: what disturbs the machine disturbs both of a pair."""

    limit: Sequence[float]
    ours: Sequence[float]

    @property
    def middle_limit(self) -> float:
        return median(self.limit)

    @property
    def middle_ours(self) -> float:
        return median(self.ours)

    @property
    def ratio(self) -> float:
        """Ours over the limit: the median of the pairs' own ratios."""
        return median(ours / limit for ours, limit in zip(self.ours, self.limit, strict=True))


def rates(work: str, pairs: Pairs, *, least: float, unit: str = "/s", note: str = "") -> Line:
    """A line for two rates, where ours should reach `least` of the limit."""
    return Line(
        work,
        f"{pairs.middle_ours:,.0f}{unit}",
        f"{pairs.middle_limit:,.0f}{unit}",
        f"{pairs.ratio:.2f}",
        f"≥ {least:.2f}",
        pairs.ratio >= least,
        note,
    )


def at_most(work: str, value: float, most: float, unit: str, *, digits: int = 0, note: str = "") -> Line:
    """A line for a figure that has a bound and no limit to be compared with."""
    return Line(
        work, f"{value:,.{digits}f} {unit}", target=f"≤ {most:g} {unit}", met=value <= most, note=note
    )


def render(lines: Iterable[Line]) -> str:
    """The lines as a Markdown table."""
    said = {True: "yes", False: "**no**", None: "–"}
    rows = [("work", "ours", "limit", "ratio", "target", "met", "note"), ("---",) * 7]
    rows += [
        (line.work, line.ours, line.limit, line.ratio, line.target, said[line.met], line.note)
        for line in lines
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
