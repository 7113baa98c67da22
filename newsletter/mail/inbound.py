"""Takes mail that came back, whichever way it was handed to us: finds out what it is and what is to be done.

Whose it is, is told by the address it came to, which carries our MAC. A complaint may come to any address of
the domain: it is known by a return path or an unsubscribe link of ours in the mail that it encloses. What is
written elsewhere in a mail names nobody (checklist B2).
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from enum import StrEnum
from uuid import UUID

import structlog
from flask import Flask

from newsletter import counted
from newsletter.database import write_transaction
from newsletter.dead_letters import DeadLetters
from newsletter.domain.links import BadLink, Links
from newsletter.domain.return_paths import LEAVE, Forged, NotOurs, Purpose, ReturnPath, ReturnPaths
from newsletter.domain.returns import Return, ReturnKind, bounce_key
from newsletter.extensions import db
from newsletter.mail.auto_replies import is_auto_reply, is_from_mail_system
from newsletter.mail.bounded import Unreadable, head_of
from newsletter.mail.feedback import ABUSE, OPT_OUT, wants_out
from newsletter.mail.mime import field, subject_of
from newsletter.mail.reports import Report, ReportKind, read_report
from newsletter.services.take_return import MEANT_SOMETHING, Taken, take_return
from newsletter.settings import Settings

# The only complaints that are about the sender (checklist B4).
_COMPLAINTS = {ABUSE, "fraud"}
_FEEDBACK = "arf"  # the way of complaints
_BY_MAIL = "mailto"  # the way of wishes to leave
# Of one field of a mail that a complaint encloses; ours has two.
_MOST_URIS = 10

log = structlog.get_logger()


class Fate(StrEnum):
    """What became of a mail that is nothing to be taken; of one that is, `Taken` tells."""

    IGNORED = "ignored"  # in good order, and not for us to act on
    DEAD = "dead"  # laid aside


@dataclass(frozen=True)
class Envelope:
    """A mail as it was handed to us: for whom, from whom (empty for mail systems; None where that is not
    known), and its bytes."""

    recipient: str | None
    sender: str | None
    raw: bytes


class Inbound:
    """Takes one mail after the other. Only a database that is away is an error, for the mail system to come
    again; whatever a mail holds is not."""

    def __init__(self, app: Flask, settings: Settings, links: Links) -> None:
        assert settings.inbound_domain is not None
        self._app = app
        self._settings = settings
        self._links = links
        self._paths = ReturnPaths(settings.inbound_domain, settings.secret_keys, settings.retired_keys)
        self._dead_letters = DeadLetters(settings.dead_letters_dir)

    def take(self, envelope: Envelope) -> Taken | Fate:
        """Do what a mail asks for. Raises SQLAlchemy's errors and `DatabaseNotReady`."""
        try:
            ret = self._read(envelope)
        except Unreadable as error:
            self._dead_letters.keep(
                envelope.raw, reason=str(error), recipient=envelope.recipient, now=datetime.now(UTC)
            )
            return Fate.DEAD
        if ret is None:
            log.info("inbound_ignored")
            return Fate.IGNORED
        with self._app.app_context(), write_transaction(db.session()):
            taken = take_return(db.session(), self._settings, datetime.now(UTC), ret)
        if taken in MEANT_SOMETHING:
            counted.returned(ret.kind.value, ret.way)
        log.info("inbound_taken", kind=ret.kind.value, way=ret.way, taken=taken.value, status=ret.status)
        return taken

    def _read(self, envelope: Envelope) -> Return | None:
        """What a mail asks for; None where that is nothing. Raises `Unreadable` where it is to be laid
        aside."""
        path = self._path(envelope.recipient)
        head = head_of(envelope.raw)
        if path is not None and path.purpose is Purpose.UNSUBSCRIBE and not _is_report(head):
            return _wish_to_leave(envelope, head, path)
        report = read_report(envelope.raw)
        if report.kind is ReportKind.FEEDBACK:
            return self._feedback(envelope, report, path)
        if path is None and report.kind is ReportKind.JUNK:
            return self._feedback(envelope, report, None)
        if path is None:
            raise Unreadable("it came to an address that is none of ours")
        return _bounce(report, path) if path.purpose is Purpose.BOUNCE else None

    def _path(self, recipient: str | None) -> ReturnPath | None:
        try:
            return self._paths.read(recipient or "")
        except Forged:
            raise Unreadable("it came to an address that looks like ours and is forged") from None
        except NotOurs:
            return None

    def _feedback(self, envelope: Envelope, report: Report, path: ReturnPath | None) -> Return | None:
        if report.feedback not in _COMPLAINTS and report.feedback != OPT_OUT:
            return None
        complaint = _complaint_about(path) if path is not None else self._enclosed(report)
        if complaint is None:
            raise Unreadable("a complaint about a mail that is none of ours")
        if report.feedback == OPT_OUT:
            whose = complaint.outbox_id or complaint.subscription_id
            key = _key_to_leave(envelope, whose)
            return replace(complaint, kind=ReturnKind.UNSUBSCRIBE, key=key, way=_BY_MAIL) if whose else None
        message_ids = (value for name, value in report.original if name == "Message-ID")
        return replace(complaint, message_id=next(message_ids, None))

    def _enclosed(self, report: Report) -> Return | None:
        """By the address or link of ours in the headers of the mail that a complaint is about."""
        for name, value in report.original:
            uris = [value] if name == "Return-Path" else re.findall(r"<([^<>]+)>", value)
            for uri in uris[:_MOST_URIS]:
                if (found := self._named("".join(uri.split()))) is not None:
                    return found
        return None

    def _named(self, uri: str) -> Return | None:
        """A complaint about what an address or link names: a mail, a subscription, or a change of address."""
        with suppress(NotOurs):
            return _complaint_about(self._paths.read(uri.removeprefix("mailto:").partition("?")[0]))
        door, _, token = uri.removeprefix(f"{self._settings.base_url}/").partition("/")
        with suppress(BadLink):
            if door == "unsubscribe":
                return _complaint_about(ReturnPath(Purpose.UNSUBSCRIBE, self._links.read_unsubscribe(token)))
            if door == "new-address":
                link = self._links.read_new_address(token, now=datetime.now(UTC), max_age=timedelta.max)
                key = f"complaint:{link.change_id}"
                return Return(ReturnKind.COMPLAINT, key, _FEEDBACK, change_id=link.change_id)
        return None


def _complaint_about(path: ReturnPath) -> Return:
    key = f"complaint:{path.id}"
    if path.purpose is Purpose.BOUNCE:
        return Return(ReturnKind.COMPLAINT, key, _FEEDBACK, outbox_id=path.id)
    return Return(ReturnKind.COMPLAINT, key, _FEEDBACK, subscription_id=path.id)


def _bounce(report: Report, path: ReturnPath) -> Return | None:
    if report.kind is ReportKind.AUTO_REPLY:
        return None
    if report.kind in (ReportKind.JUNK, ReportKind.OTHER):
        raise Unreadable("it came to a return path and reports nothing that we know")
    failure = report.failure
    if failure is None:
        return None
    return Return(
        ReturnKind.BOUNCE,
        key=bounce_key(path.id, failure.status),
        way="mail",
        outbox_id=path.id,
        status=failure.status,
        diagnostic=failure.diagnostic,
    )


def _wish_to_leave(envelope: Envelope, head: Message, path: ReturnPath) -> Return | None:
    """Any mail to the address of a subscription ends it, whatever it holds, save those that no person or mail
    program wrote to leave: bounces, and answers of machines. A mail program that leaves for its user may mark
    that as automatic: it is known by its header, or by the subject that our mail asks for."""
    if not wants_out(head):
        is_machine = is_from_mail_system(head) or _is_automatic(head)
        if _is_from_nobody(envelope, head) or (is_machine and subject_of(head).lower() != LEAVE):
            return None
    return Return(
        ReturnKind.UNSUBSCRIBE, _key_to_leave(envelope, path.id), _BY_MAIL, subscription_id=path.id
    )  # fmt: skip


def _is_from_nobody(envelope: Envelope, head: Message) -> bool:
    sender = envelope.sender if envelope.sender is not None else str(head.get("return-path", "unknown"))
    # Postfix's pipe writes a null sender as MAILER-DAEMON unless it is told otherwise.
    return sender.strip().strip("<>").partition("@")[0].lower() in ("", "mailer-daemon")


def _is_automatic(head: Message) -> bool:
    return is_auto_reply(head) or field(head, "precedence").lower() in ("bulk", "junk", "list")


def _key_to_leave(envelope: Envelope, whose: UUID | None) -> str:
    """By the Message-ID: the same mail that comes again must not end what was begun anew since."""
    message_id = field(head_of(envelope.raw), "message-id") or hashlib.sha256(envelope.raw).hexdigest()
    return f"unsubscribe:{whose}:{message_id}"


def recipient_of(raw: bytes) -> str | None:
    """Whom a mail went to, as the mail system that delivered it has noted on top of it."""
    head = head_of(raw)
    for name in ("x-original-to", "delivered-to", "envelope-to"):
        if value := str(head.get(name, "")).strip():
            return value
    return None


def _is_report(head: Message) -> bool:
    return head.get_content_type() == "multipart/report"
