"""Webhooks of a list: who is told, what they were told, and telling them again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from newsletter.database import write_transaction
from newsletter.domain.roles import Scope
from newsletter.domain.webhooks import Notice
from newsletter.extensions import db
from newsletter.models.outbox import Status
from newsletter.parts import parts
from newsletter.services import webhook_log, webhooks
from newsletter.services.lists import ListView
from newsletter.services.webhooks import WebhookError, WebhookView
from newsletter.web.operator.access import actor, list_or_404, needs, operator
from newsletter.web.operator.deeds import ask_once_more, is_confirmed

_PAGE = 50
_EVENTS = {
    Notice.SUBSCRIBED: "somebody asks for the list, and has yet to confirm",
    Notice.CONFIRMED: "they confirm",
    Notice.UNSUBSCRIBED: "they leave, or are taken off",
    Notice.BOUNCED: "their address takes no mail",
    Notice.COMPLAINED: "they report a mail as spam",
    Notice.ERASED: "what is held of them is deleted",
}
# What most receivers want: who gets the newsletter, and who no longer does.
_USUAL = [notice.value for notice in Notice if notice is not Notice.SUBSCRIBED]

Page = str | tuple[str, int]
Answer = BaseResponse | Page


@operator.get("/lists/<slug>/webhooks")
@needs(Scope.WEBHOOKS)
def show_webhooks(slug: str) -> Page:
    """All of a list, and the form for one more."""
    return _webhooks_page(list_or_404(slug), url="", events=_USUAL)


def _webhooks_page(
    found: ListView, *, url: str, events: Collection[str], error: WebhookError | None = None
) -> Page:
    page = render_template(
        "operator/webhooks.html",
        webhooks=webhooks.of_list(db.session(), found.id),
        most=webhooks.MOST,
        url=url,
        chosen=events,
        events=_EVENTS,
        error=error,
    )
    return (page, 422) if error is not None else page


@operator.post("/lists/<slug>/webhooks")
@needs(Scope.WEBHOOKS)
def add_webhook(slug: str) -> Page:
    """Make one; its secret is shown once."""
    found, database = list_or_404(slug), db.session()
    url, events = _typed()
    try:
        with write_transaction(database):
            webhook_id, secret = webhooks.add(
                database, parts().settings, datetime.now(UTC), actor(), found.id, url=url, notices=events
            )
    except WebhookError as error:
        return _webhooks_page(found, url=url, events=events, error=error)
    return _secret_page(webhook_id, secret, is_new=True)


@operator.get("/lists/<slug>/webhooks/<uuid:webhook_id>")
@needs(Scope.WEBHOOKS)
def show_webhook(slug: str, webhook_id: UUID) -> Page:
    """One, and the log of what it was told."""
    return _webhook_page(_webhook_or_404(slug, webhook_id))


@operator.post("/lists/<slug>/webhooks/<uuid:webhook_id>")
@needs(Scope.WEBHOOKS)
def edit_webhook(slug: str, webhook_id: UUID) -> Answer:
    """Lead it elsewhere, or tell it other things."""
    held, database = _webhook_or_404(slug, webhook_id), db.session()
    url, events = _typed()
    try:
        with write_transaction(database):
            webhooks.edit(
                database, parts().settings, datetime.now(UTC), actor(), held, url=url, notices=events
            )
    except WebhookError as error:
        return _webhook_page(held, url=url, events=events, error=error)
    return _back("The webhook is changed.", slug, held)


@operator.post("/lists/<slug>/webhooks/<uuid:webhook_id>/rotate")
@needs(Scope.WEBHOOKS)
def rotate_webhook(slug: str, webhook_id: UUID) -> Page:
    """A new secret, which is shown once."""
    held, database = _webhook_or_404(slug, webhook_id), db.session()
    if not is_confirmed():
        return ask_once_more(
            "Make a new secret?",
            "It is shown once. For 24 hours messages are signed with both, the new one and the present one; "
            "then with the new one alone. One from before the present one stops working at once.",
            button="Make a new secret",
            back=_address(slug, held),
        )
    with write_transaction(database):
        secret = webhooks.rotate(database, datetime.now(UTC), actor(), held)
    return _secret_page(held.id, secret, is_new=False)


@operator.post("/lists/<slug>/webhooks/<uuid:webhook_id>/disable")
@needs(Scope.WEBHOOKS)
def disable_webhook(slug: str, webhook_id: UUID) -> Answer:
    """Tell it nothing any more."""
    held, database = _webhook_or_404(slug, webhook_id), db.session()
    if not is_confirmed():
        return ask_once_more(
            "Switch this webhook off?",
            f"{held.url} is told nothing until it is switched on again. What waits for it is not sent.",
            button="Switch it off",
            back=_address(slug, held),
        )
    with write_transaction(database):
        webhooks.disable(database, datetime.now(UTC), actor(), held.list_id, held.id)
    return _back("The webhook is switched off.", slug, held)


@operator.post("/lists/<slug>/webhooks/<uuid:webhook_id>/enable")
@needs(Scope.WEBHOOKS)
def enable_webhook(slug: str, webhook_id: UUID) -> Answer:
    """Tell it again what happens."""
    held, database = _webhook_or_404(slug, webhook_id), db.session()
    with write_transaction(database):
        webhooks.enable(database, datetime.now(UTC), actor(), held)
    return _back("The webhook is switched on. It is told what happens from now on.", slug, held)


@operator.post("/lists/<slug>/webhooks/<uuid:webhook_id>/remove")
@needs(Scope.WEBHOOKS)
def remove_webhook(slug: str, webhook_id: UUID) -> Answer:
    """Remove it and its log."""
    held, database = _webhook_or_404(slug, webhook_id), db.session()
    if not is_confirmed():
        return ask_once_more(
            "Remove this webhook?",
            f"{held.url} is told nothing any more, what waits for it is not sent, and its log is deleted. "
            "This cannot be undone.",
            button="Remove it",
            back=_address(slug, held),
        )
    with write_transaction(database):
        webhooks.remove(database, datetime.now(UTC), actor(), held)
    flash("The webhook and its log are removed.")
    return redirect(url_for("operator.show_webhooks", slug=slug), 303)


@operator.post("/lists/<slug>/webhooks/<uuid:webhook_id>/test")
@needs(Scope.WEBHOOKS)
def test_webhook(slug: str, webhook_id: UUID) -> Answer:
    """Send something that means nothing."""
    held, database = _webhook_or_404(slug, webhook_id), db.session()
    try:
        with write_transaction(database):
            webhook_log.send_test(database, datetime.now(UTC), actor(), held)
    except WebhookError as error:
        return _webhook_page(held, error=error)
    return _back("A test message is on its way. Its line in the log says what was answered.", slug, held)


@operator.post("/lists/<slug>/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/again")
@needs(Scope.WEBHOOKS)
def send_again(slug: str, webhook_id: UUID, delivery_id: UUID) -> Answer:
    """Tell it once more what it was told."""
    held, database = _webhook_or_404(slug, webhook_id), db.session()
    try:
        with write_transaction(database):
            again = webhook_log.send_again(database, datetime.now(UTC), actor(), held, delivery_id)
    except WebhookError as error:
        return _webhook_page(held, error=error)
    if again is None:
        abort(404)
    return _back("The message is on its way once more, under the same webhook-id.", slug, held)


def _webhook_or_404(slug: str, webhook_id: UUID) -> WebhookView:
    held = webhooks.find(db.session(), list_or_404(slug).id, webhook_id)
    if held is None:
        abort(404)
    return held


def _typed() -> tuple[str, list[str]]:
    return request.form.get("url", ""), request.form.getlist("events")


def _address(slug: str, held: WebhookView) -> str:
    return url_for("operator.show_webhook", slug=slug, webhook_id=held.id)


def _back(done: str, slug: str, held: WebhookView) -> BaseResponse:
    flash(done)
    return redirect(_address(slug, held), 303)


def _secret_page(webhook_id: UUID, secret: str, *, is_new: bool) -> str:
    return render_template(
        "operator/webhook_secret.html", webhook_id=webhook_id, secret=secret, is_new=is_new
    )


def _webhook_page(
    held: WebhookView,
    *,
    url: str | None = None,
    events: Collection[str] | None = None,
    error: WebhookError | None = None,
) -> Page:
    """With what was typed into its form, where that cannot be."""
    told = webhook_log.read(db.session(), held.id, before=_before(), limit=_PAGE + 1)
    shown = told[:_PAGE]
    page = render_template(
        "operator/webhook.html",
        webhook=held,
        url=held.url if url is None else url,
        chosen=held.notices if events is None else events,
        events=_EVENTS,
        error=error,
        deliveries=shown,
        is_moving=any(delivery.status in (Status.QUEUED, Status.INFLIGHT) for delivery in shown),
        more=shown[-1].id if len(told) > _PAGE else None,
    )
    return (page, 422) if error is not None else page


def _before() -> UUID | None:
    try:
        return UUID(request.args["before"]) if "before" in request.args else None
    except ValueError:
        abort(404)
