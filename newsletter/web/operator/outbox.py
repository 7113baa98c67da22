"""The outbox of a list: what waits, what failed and why, what was sent lately."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flask import render_template
from werkzeug.wrappers import Response as BaseResponse

from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services import alarms, outbox_log
from newsletter.services.outbox_log import CannotRetry
from newsletter.web.operator import words
from newsletter.web.operator.access import actor, list_or_404, needs, operator
from newsletter.web.operator.console import deed, go_on
from newsletter.web.problems import sentence


@operator.get("/lists/<slug>/outbox")
@needs(Scope.OUTBOX)
def show_outbox(slug: str) -> str:
    """What waits, what failed and what was sent."""
    mailing_list = list_or_404(slug)
    outbox = outbox_log.look(db.session(), mailing_list.id)
    now = datetime.now(UTC)
    alarm = alarms.standing(db.session(), now)
    return render_template(
        "operator/outbox.html", list=mailing_list, outbox=outbox, words=words,
        alarm=alarm, stopped=alarm is not None and alarm.stops_runs(now),
    )  # fmt: skip


@operator.post("/lists/<slug>/outbox/<uuid:message_id>/retry")
@needs(Scope.OUTBOX)
def retry_mail(slug: str, message_id: UUID) -> BaseResponse:
    """Let one message be due now."""
    mailing_list = list_or_404(slug)
    try:
        with deed() as (session, now):
            outbox_log.retry(session, now, actor(), mailing_list.id, message_id)
    except CannotRetry as error:
        return go_on("show_outbox", done=sentence(error), slug=slug)
    return go_on("show_outbox", done="It is due now.", slug=slug)


@operator.post("/lists/<slug>/outbox/retry")
@needs(Scope.OUTBOX)
def retry_all_failed(slug: str) -> BaseResponse:
    """Let all that failed be due now."""
    mailing_list = list_or_404(slug)
    with deed() as (session, now):
        retried = outbox_log.retry_failed(session, now, actor(), mailing_list.id)
    return go_on("show_outbox", done=f"Due now: {retried:,}.", slug=slug)
