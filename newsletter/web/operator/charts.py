"""Charts, drawn here as SVG: a browser needs no script for them, and colours come from the stylesheet, by day
and by night. A chart carries its figures, too, for the table beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 360.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 12.0, 14.0, 26.0
_LABELS = 4  # below the chart, at most


@dataclass(frozen=True)
class Series:
    """Figures of one kind. `look` names its colour in the stylesheet."""

    name: str
    look: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Chart:
    """A drawing, and the figures that it shows: a label and the value of each series, line by line."""

    name: str  # an id in the page
    title: str
    svg: Markup
    series: tuple[Series, ...]
    labels: tuple[str, ...]

    @property
    def rows(self) -> list[tuple[str, tuple[int, ...]]]:
        """The table beside the drawing."""
        return [
            (label, tuple(series.values[place] for series in self.series))
            for place, label in enumerate(self.labels)
        ]


@dataclass(frozen=True)
class _Scale:
    """Where a value stands, from `least` at the bottom to `most` at the top."""

    least: int
    most: int
    step: int

    @classmethod
    def over(cls, least: int, most: int) -> _Scale:
        """Round numbers around these two, some four steps apart."""
        step = _round_step(max(most - least, 1) / 4)
        return cls(math.floor(least / step) * step, max(math.ceil(most / step), 1) * step, step)

    def y(self, value: float) -> float:
        share = (value - self.least) / ((self.most - self.least) or 1)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    @property
    def ticks(self) -> Iterator[int]:
        return iter(range(self.least, self.most + 1, self.step))


def line_chart(name: str, title: str, labels: Sequence[str], series: Series) -> Chart:
    """How one figure went: a line, its last value written out."""
    values = series.values
    least, most = min(values), max(values)
    # A line may begin above nothing, or a large list would seem never to change.
    scale = _Scale.over(0 if least < (most - least) * 2 else least, most)
    places = [(_slot(len(values), place) + _slot_width(len(values)) / 2) for place in range(len(values))]
    points = [f"{x:.1f},{scale.y(value):.1f}" for x, value in zip(places, values, strict=True)]
    end = _tag(
        "circle", ("class", f"chart-dot {series.look}"), ("cx", f"{places[-1]:.1f}"),
        ("cy", f"{scale.y(values[-1]):.1f}"), ("r", "4"),
    )  # fmt: skip
    line = _tag("polyline", ("class", f"chart-line {series.look}"), ("points", " ".join(points)))
    said = f"{title}: from {values[0]:,} on {labels[0]} to {values[-1]:,} on {labels[-1]}."
    return Chart(name, title, _svg(name, title, said, labels, scale, line + end), (series,), tuple(labels))


def bar_chart(
    name: str, title: str, labels: Sequence[str], series: Sequence[Series], *, downwards: str = ""
) -> Chart:
    """Figures side by side; those of the series named `downwards` hang below the zero line, on one axis with
    the others."""
    up = [one for one in series if one.name != downwards]
    down = [one for one in series if one.name == downwards]
    scale = _Scale.over(
        -max((value for one in down for value in one.values), default=0),
        max((value for one in up for value in one.values), default=0),
    )
    slot = _slot_width(len(labels))
    room = slot * 0.78
    bars = Markup("")
    for place, label in enumerate(labels):
        for group, sign in ((up, 1), (down, -1)):
            width = room / len(group) if group else 0
            for number, one in enumerate(group):
                value = one.values[place]
                if not value:
                    continue
                top, foot = sorted((scale.y(sign * value), scale.y(0)))
                x = _slot(len(labels), place) + (slot - room) / 2 + number * width
                bars += _tag(
                    "rect",
                    ("class", f"chart-bar {one.look}"),
                    ("x", f"{x:.1f}"),
                    ("y", f"{top:.1f}"),
                    ("width", f"{max(width - 0.6, 1):.1f}"),
                    ("height", f"{max(foot - top, 1):.1f}"),
                    inside=_tag("title", inside=escape(f"{label}: {value:,} {one.name.lower()}")),
                )
    said = f"{title}: {'; '.join(f'{sum(one.values):,} {one.name.lower()}' for one in series)}."
    return Chart(name, title, _svg(name, title, said, labels, scale, bars), tuple(series), tuple(labels))


def spark(values: Sequence[int]) -> Markup:
    """A line without axes, beside figures that say the same: it is not read out."""
    least, most = min(values), max(values)
    step = 116 / max(len(values) - 1, 1)
    points = (
        f"{2 + place * step:.1f},{30 - 28 * (value - least) / ((most - least) or 1):.1f}"
        for place, value in enumerate(values)
    )
    line = _tag("polyline", ("class", "chart-line look-1"), ("points", " ".join(points)))
    return _tag("svg", ("class", "spark"), ("viewBox", "0 0 120 32"), ("aria-hidden", "true"), inside=line)


def _svg(name: str, title: str, said: str, labels: Sequence[str], scale: _Scale, drawing: Markup) -> Markup:
    frame = Markup("")
    for tick in scale.ticks:
        y = scale.y(tick)
        look = "chart-zero" if tick == 0 else "chart-grid"
        frame += _tag(
            "line", ("class", look), ("x1", f"{_LEFT:g}"), ("x2", f"{_WIDTH - _RIGHT:g}"),
            ("y1", f"{y:.1f}"), ("y2", f"{y:.1f}"),
        )  # fmt: skip
        frame += _text(_LEFT - 6, y + 4, "end", _short(abs(tick)))
    every = math.ceil(len(labels) / _LABELS)
    # Counted from the end: the newest is always named.
    for place in range(len(labels) - 1, -1, -every):
        x = _slot(len(labels), place) + _slot_width(len(labels)) / 2
        anchor = "end" if place == len(labels) - 1 and x > _WIDTH - 34 else "middle"
        frame += _text(_WIDTH - _RIGHT if anchor == "end" else x, _HEIGHT - 7, anchor, labels[place])
    return _tag(
        "svg",
        ("class", "chart"),
        ("viewBox", f"0 0 {_WIDTH:g} {_HEIGHT:g}"),
        ("role", "img"),
        ("aria-labelledby", f"{name}-title"),
        ("aria-describedby", f"{name}-said"),
        inside=_tag("title", ("id", f"{name}-title"), inside=escape(title))
        + _tag("desc", ("id", f"{name}-said"), inside=escape(said))
        + frame
        + drawing,
    )


def _slot_width(number: int) -> float:
    return (_WIDTH - _LEFT - _RIGHT) / max(number, 1)


def _slot(number: int, place: int) -> float:
    return _LEFT + place * _slot_width(number)


def _round_step(raw: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, …"""
    power = 10 ** max(math.floor(math.log10(raw)), 0) if raw > 0 else 1
    return int(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw))


def _short(value: int) -> str:
    """A number that fits beside an axis."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if value >= size and value % (size // 100) == 0:
            return f"{value / size:.4g}{letter}"
    return f"{value:,}"


def _text(x: float, y: float, anchor: str, words: str) -> Markup:
    return _tag(
        "text", ("class", "chart-text"), ("x", f"{x:.1f}"), ("y", f"{y:.1f}"), ("text-anchor", anchor),
        inside=escape(words),
    )  # fmt: skip


def _tag(tag: str, *attributes: tuple[str, str], inside: Markup | None = None) -> Markup:
    written = Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in attributes)
    opened = Markup("<{}{}>").format(Markup(tag), written)  # noqa: S704 - the names of tags are ours
    return opened + (inside or Markup("")) + Markup("</{}>").format(Markup(tag))  # noqa: S704
