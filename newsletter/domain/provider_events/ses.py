"""Amazon SES: bounces and complaints, as notifications of an identity and as events of a configuration set
(https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html). They are alike but for one name."""

from __future__ import annotations

from email.utils import parseaddr
from uuid import UUID

from newsletter.domain.provider_events import echo
from newsletter.domain.provider_events.fields import Fields, read_json
from newsletter.domain.provider_events.report import FAILED, NO_SUCH_MAILBOX, Report, Unreadable, status_in
from newsletter.domain.provider_events.sns import Message
from newsletter.domain.return_paths import NotOurs, Purpose, ReturnPaths
from newsletter.domain.returns import ReturnKind

# Of a permanent bounce: Amazon has found that the mailbox does not exist, now or before.
_NO_MAILBOX = {"NoEmail", "Suppressed", "OnAccountSuppressionList"}
# RFC 5965 §3.1, checklist B4. Providers that send no report have no type: they say that it is a complaint.
_MEANT = {"", "abuse", "fraud"}


def read_reports(message: Message, paths: ReturnPaths | None = None) -> list[Report]:
    """What a message of the topic says; nothing where it is about something else. `paths` read our return
    paths, where mail has some: Amazon tells them even where it leaves the headers out."""
    try:
        event = Fields(read_json(message.text))
    except Unreadable:
        return []  # Amazon greets a new topic with a plain sentence
    kind = event.text("eventType") or event.text("notificationType")
    mail_id = _mail_id(event.inside("mail"), paths)
    if kind == "Bounce":
        return _bounces(event.inside("bounce"), mail_id, message.id)
    if kind == "Complaint":
        return _complaints(event.inside("complaint"), mail_id, message.id)
    return []


def _bounces(bounce: Fields, mail_id: UUID | None, message_id: str) -> list[Report]:
    permanent = bounce.text("bounceType") == "Permanent"
    known = NO_SUCH_MAILBOX if bounce.text("bounceSubType") in _NO_MAILBOX else FAILED
    reports = []
    for recipient in bounce.each("bouncedRecipients"):
        diagnostic = recipient.text("diagnosticCode")
        status = status_in(recipient.text("status"), diagnostic, otherwise=known if permanent else None)
        if status is None:
            continue  # not for good, and no reason given: Amazon tells automatic replies so
        reports.append(
            Report.of(
                mail_id,
                _address(recipient),
                ReturnKind.BOUNCE,
                status=status,
                diagnostic=diagnostic,
                key=f"ses:{bounce.text('feedbackId') or message_id}",
            )
        )
    return reports


def _complaints(complaint: Fields, mail_id: UUID | None, message_id: str) -> list[Report]:
    if complaint.text("complaintFeedbackType") not in _MEANT:
        return []
    return [
        Report.of(
            mail_id,
            _address(recipient),
            ReturnKind.COMPLAINT,
            diagnostic=complaint.text("complaintFeedbackType"),
            key=f"ses:{complaint.text('feedbackId') or message_id}",
        )
        for recipient in complaint.each("complainedRecipients")
    ]


def _mail_id(mail: Fields, paths: ReturnPaths | None) -> UUID | None:
    """By the Message-ID that the mail had before Amazon gave it another one, or by its return path."""
    named = [
        header.text("value") for header in mail.each("headers") if header.text("name").lower() == "message-id"
    ]
    named.append(mail.inside("commonHeaders").text("messageId"))
    known = (echo.mail_of_message_id(message_id) for message_id in named)
    return next((mail_id for mail_id in known if mail_id), None) or _sender_of(mail.text("source"), paths)


def _sender_of(source: str, paths: ReturnPaths | None) -> UUID | None:
    try:
        path = paths.read(source) if paths else None
    except NotOurs:
        return None
    return path.id if path and path.purpose is Purpose.BOUNCE else None


def _address(recipient: Fields) -> str:
    """Without a display name, which it has where it was taken from the To."""
    return parseaddr(recipient.text("emailAddress"))[1]
