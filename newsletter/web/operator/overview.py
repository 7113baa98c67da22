"""How lists grow: all that the operator sees, and each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import render_template, request
from markupsafe import Markup

from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services import overview, scans
from newsletter.services.lists import ListView
from newsletter.services.overview import Growth, Span, Stretch
from newsletter.web.operator import words
from newsletter.web.operator.access import actor, list_or_404, my_lists, needs, operator
from newsletter.web.operator.charts import Chart, Series, bar_chart, line_chart, spark

_SPANS = {Span.DAYS: "30 days", Span.WEEKS: "12 weeks", Span.MONTHS: "12 months"}


@dataclass(frozen=True)
class Line:
    """One list among others: how it stands, and how the last 30 days went."""

    list: ListView
    growth: Growth
    spark: Markup


@operator.get("/")
@needs(Scope.READ_LISTS)
def home() -> str:
    """All lists that the operator sees."""
    session = db.session()
    seen = my_lists()
    growths = overview.growth(session, [found.id for found in seen], datetime.now(UTC), Span.DAYS)
    lines = [
        Line(found, growths[found.id], spark([part.confirmed for part in growths[found.id].stretches]))
        for found in seen
    ]
    # It tells of the mails of all lists together.
    ledger = scans.ledger(session, datetime.now(UTC)) if actor().lists is None else None
    return render_template("operator/home.html", lines=lines, ledger=ledger, days=scans.DAYS, words=words)


@operator.get("/lists/<slug>")
@needs(Scope.READ_LISTS)
def show_list(slug: str) -> str:
    """How one list grows."""
    mailing_list = list_or_404(slug)
    span = Span(request.args["span"]) if request.args.get("span") in list(Span) else Span.DAYS
    session = db.session()
    growth = overview.growth(session, [mailing_list.id], datetime.now(UTC), span)[mailing_list.id]
    return render_template(
        "operator/list.html",
        list=mailing_list,
        growth=growth,
        charts=charts_of(growth),
        span=span,
        spans=_SPANS,
    )


def charts_of(growth: Growth) -> list[Chart]:
    """What is drawn of a list."""
    parts = growth.stretches
    labels = [_label(part, growth.span) for part in parts]
    return [
        line_chart(
            "subscribers",
            "Subscribers",
            labels,
            Series("Confirmed", "look-1", tuple(part.confirmed for part in parts)),
        ),
        bar_chart(
            "sign-ups",
            "Sign-ups and confirmations",
            labels,
            [
                Series("Sign-ups", "look-3", tuple(part.sign_ups for part in parts)),
                Series("Confirmed", "look-1", tuple(part.confirmations for part in parts)),
            ],
        ),
        bar_chart(
            "moves",
            "Joined and left",
            labels,
            [
                Series("Joined", "look-1", tuple(part.joined for part in parts)),
                Series("Left", "look-2", tuple(part.left for part in parts)),
            ],
            downwards="Left",
        ),
    ]


def _label(part: Stretch, span: Span) -> str:
    """The name of a stretch: its first day, or its month."""
    if span is Span.MONTHS:
        return f"{part.begins:%b %Y}"
    return f"{part.begins.day} {part.begins:%b}"
