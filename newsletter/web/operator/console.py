"""What the console's pages about lists share: a transaction of their own, what is said after it, what stands
in addresses and forms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import flash, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as BaseResponse

from newsletter.database import write_transaction
from newsletter.domain.lifecycle import State
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services import subscribers
from newsletter.services.lists import ListView
from newsletter.services.subscribers import SubscriberView
from newsletter.web.operator.access import actor, logged_in, operator

# Attributes, a statement, the columns of a file: some 20,000 characters, of up to twelve bytes as a form
# sends them.
_LARGEST_FORM = 256 * 1024
_MOST_FIELDS = 1000
# What a view of a form may answer: a page, a page with its status, or a way on.
Answer = str | tuple[str, int] | BaseResponse


@operator.url_value_preprocessor
def _take_forms(endpoint: str | None, _values: dict[str, Any] | None) -> None:  # noqa: ARG001
    """Let an operator send more than a visitor. A form is read before any view, and before the functions that
    Flask calls before it; this is called still earlier."""
    if request.method == "POST" and logged_in() is not None and actor().may(Scope.READ_LISTS):
        request.max_content_length = _LARGEST_FORM
        request.max_form_memory_size = _LARGEST_FORM
        request.max_form_parts = _MOST_FIELDS


@contextmanager
def deed() -> Iterator[tuple[Session, datetime]]:
    """One transaction that changes something, and its moment."""
    session = db.session()
    with write_transaction(session):
        yield session, datetime.now(UTC)


def go_on(endpoint: str, *, done: str, **values: Any) -> BaseResponse:
    """After a deed: to a page that says so, and may be loaded again."""
    flash(done)
    return redirect(url_for(f"operator.{endpoint}", **values), 303)


def subscriber_or_404(mailing_list: ListView, subscription_id: UUID) -> SubscriberView:
    """A subscriber of this very list."""
    found = subscribers.find(db.session(), subscription_id)
    if found is None or found.list.id != mailing_list.id:
        raise NotFound
    return found


def id_or_none(text: str | None) -> UUID | None:
    """An id out of a page's address; None where it is none."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def state_or_none(text: str | None) -> State | None:
    """A state out of a page's address; None where it is none."""
    return State(text) if text in set(State) else None


def field(name: str) -> str:
    """A field of the form, trimmed, with the line ends that everybody else has."""
    return "\n".join(request.form.get(name, "").splitlines()).strip()
