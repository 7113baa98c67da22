"""Writes a mail: from a claimed message to the bytes that go over the wire.

Headers by RFC 5322, 2369 (List-Unsubscribe), 2919 (List-Id), 3834 (Auto-Submitted) and 8058 (one-click).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import format_datetime
from functools import cache
from textwrap import fill

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from newsletter.domain import codes
from newsletter.domain.addresses import envelope_form, mask
from newsletter.domain.languages import choose, direction
from newsletter.domain.links import UNDO_FOR, Links
from newsletter.domain.provider_events import echo
from newsletter.domain.return_paths import LEAVE, ReturnPaths
from newsletter.mail.plain_words import marked_up, wrapped
from newsletter.models.outbox import Kind
from newsletter.paths import TEMPLATES
from newsletter.services.deliver import Claimed
from newsletter.settings import Sender, Settings
from newsletter.translations import translations

# An encoded word has at most 75 characters (RFC 2047 §2).
_WIRE = SMTP.clone(max_line_length=75)
_UTF8_WIRE = _WIRE.clone(utf8=True)
# Python's default would let lines of quoted-printable grow to 78 (RFC 2045 §6.7: 76).
_BODY = default.clone(max_line_length=76)
_LONGEST_LINE = 998
_TEXT_WIDTH = 68


@dataclass(frozen=True)
class Letter:
    """A mail ready to be sent: the envelope and the bytes."""

    sender: str
    recipient: str
    message_id: str
    content: bytes

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a relay that offers SMTPUTF8 can take it (RFC 6531, checklist A19)."""
        return not self.recipient.isascii()


class Composer:
    """Writes mails from the templates in templates/mail."""

    def __init__(self, settings: Settings, links: Links) -> None:
        self._settings = settings
        self._links = links
        self._paths = (
            ReturnPaths(settings.inbound_domain, settings.secret_keys) if settings.inbound_domain else None
        )

    def compose(self, message: Claimed, now: datetime) -> Letter:
        """The letter for a claimed message, in its reader's language. Its links are signed now, so a late
        mail's links live as long."""
        language = choose(message.locale, message.list.locale, ())
        templates = _templates(language)
        sender = message.list.sender_or(self._settings.mail_from)
        unsubscribe_url = self._unsubscribe_url(message, now)
        context = {
            "list": message.list,
            "locale": language,
            "text_direction": direction(language),
            "address": message.address,
            "confirm_url": self._confirm_url(message, now),
            "code": self._code(message, now),
            "unsubscribe_url": unsubscribe_url,
            "manage_url": self._manage_url(message, now),
            "new_address_url": self._new_address_url(message, now),
            "not_me_url": self._not_me_url(message),
            "other_address": mask(message.other_address) if message.other_address else None,
            "is_taken": message.is_taken,
            "undo_days": UNDO_FOR.days,
            "find_link_url": f"{self._settings.base_url}/unsubscribe",
            "paused_until": _long_date(message.paused_until, language, now),
            "postal_address": self._settings.postal_address,
            "base_host": self._settings.base_host,
            "max_age_days": self._settings.confirm_max_age.days,
            "subscriptions": [
                {
                    "list_name": held.list_name,
                    "state": held.state.value,
                    "unsubscribe_url": self._url(
                        "unsubscribe", self._links.unsubscribe_token(held.subscription_id)
                    ),
                }
                for held in message.held
            ],
        }
        mail = EmailMessage(_BODY)
        recipient = envelope_form(message.address)
        mail["From"] = _header_address(sender)
        mail["To"] = HeaderAddress(addr_spec=recipient) if recipient.isascii() else recipient
        subject = _render(templates, f"{message.kind}.subject.txt", context)
        mail["Subject"] = _plain(" ".join(subject.splitlines()))
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = message.message_id
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail["Auto-Submitted"] = "auto-generated"
        # Caused by a form that anybody may fill in: receivers count these when somebody is being buried in
        # them (draft-levine-mailbomb-header, checklist A1).
        mail["Form-Sub"] = "v=1"
        _set_text(mail, _straight(_render(templates, f"{message.kind}.txt", context)), "plain")
        html = EmailMessage(_BODY)
        # Letters outside ASCII as entities: the part needs no transfer encoding, its links stay whole.
        markup = _render(templates, f"{message.kind}.html", context)
        _set_text(html, markup.encode("ascii", "xmlcharrefreplace").decode(), "html")
        mail.make_alternative()
        mail.attach(html)
        policy = _WIRE if recipient.isascii() else _UTF8_WIRE
        # Python would fold or encode these, which must stand as they are (checklist U1, RFC 2919).
        whole = (
            f"List-Id: <{message.list.slug}.{self._settings.base_host or 'localhost'}>\r\n"
            f"List-Unsubscribe: <{unsubscribe_url}>{self._unsubscribe_mailto(message)}\r\n"
        )
        whole += "".join(f"{name}: {value}\r\n" for name, value in self._echoes(message))
        content = whole.encode("ascii") + mail.as_bytes(policy=policy)
        envelope_sender = self._paths.bounce_address(message.id) if self._paths else sender.address
        return Letter(envelope_sender, recipient, message.message_id, content)

    def _confirm_url(self, message: Claimed, now: datetime) -> str | None:
        if message.kind not in (Kind.CONFIRMATION, Kind.REMINDER):
            return None
        return self._url(
            "confirm", self._links.confirm_token(message.subscription_id, message.generation, now=now)
        )

    def _code(self, message: Claimed, now: datetime) -> str | None:
        """The code of a confirmation, unless it would be too old when it arrives."""
        if message.kind is not Kind.CONFIRMATION or now > message.created_at + codes.LIFE / 2:
            return None
        return codes.spaced(codes.code_for(message.message_id, self._settings.secret_keys[-1]))

    def _echoes(self, message: Claimed) -> Iterator[tuple[str, str]]:
        """Headers by which the events of the providers that are set tell which mail they are about."""
        if self._settings.postmark_webhook is not None:
            yield echo.postmark_header(message.id)
        if self._settings.mailgun_signing_key is not None:
            yield echo.mailgun_header(message.id)
        if self._settings.sendgrid_public_key is not None:
            yield echo.sendgrid_header(message.id)

    def _manage_url(self, message: Claimed, now: datetime) -> str | None:
        """The link to the reader's own page: one that opens all of it in the mail that they asked for it by.
        A new address is nobody's yet, so it gets none."""
        if message.kind is Kind.ADDRESS_CHANGE:
            return None
        token = self._links.manage_token(
            message.subscriber_id, message.person_generation, asked=message.kind is Kind.LINKS, now=now
        )
        return self._url("manage", token)

    def _new_address_url(self, message: Claimed, now: datetime) -> str | None:
        if message.kind is not Kind.ADDRESS_CHANGE or message.change_id is None:
            return None
        return self._url("new-address", self._links.new_address_token(message.change_id, now=now))

    def _not_me_url(self, message: Claimed) -> str | None:
        if message.kind is not Kind.ADDRESS_NOTICE or message.change_id is None:
            return None
        return self._url("not-me", self._links.not_me_token(message.change_id))

    def _unsubscribe_url(self, message: Claimed, now: datetime) -> str:
        """Where one click leads. At an address that is to be somebody's it ends that, and nothing else."""
        if (new_address := self._new_address_url(message, now)) is not None:
            return f"{new_address}/stop"
        return self._url("unsubscribe", self._links.unsubscribe_token(message.subscription_id))

    def _unsubscribe_mailto(self, message: Claimed) -> str:
        """The way to leave by mail, after the other one, where mail can come back (checklist U1). A new
        address is nobody's yet, and ends nobody's subscription."""
        if self._paths is None or message.kind is Kind.ADDRESS_CHANGE:
            return ""
        return f", <mailto:{self._paths.unsubscribe_address(message.subscription_id)}?subject={LEAVE}>"

    def _url(self, door: str, token: str) -> str:
        return f"{self._settings.base_url}/{door}/{token}"


@cache
def _templates(language: str) -> Environment:
    """The mail templates in a language. A template `x.html` escapes what it is given, `x.txt` does not."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    templates.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    templates.filters["lines"] = _lines
    templates.filters["wrapped"] = wrapped
    templates.filters["marked_up"] = marked_up
    return templates


def _render(templates: Environment, name: str, context: dict[str, object]) -> str:
    return templates.get_template(f"mail/{name}").render(context)


def _lines(paragraph: str) -> str:
    """A paragraph in lines that are easy to read in plain text."""
    return fill(paragraph, _TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)


def _long_date(moment: datetime | None, language: str, now: datetime) -> str | None:
    """A day to come, as the language writes it; None where it is none, or past."""
    if moment is None or moment <= now:
        return None
    return format_date(moment, "long", locale=language)


def _straight(text: str) -> str:
    """The text with straight apostrophes, where it then is ASCII and needs no transfer encoding."""
    straight = text.replace("’", "'")
    return straight if straight.isascii() else text


def _header_address(sender: Sender) -> HeaderAddress:
    return HeaderAddress(display_name=_plain(sender.name), addr_spec=sender.address)


def _plain(text: str) -> str:
    """A header's text without an encoded word of its own: Python would decode it, line breaks and all."""
    return text.replace("=?", "= ?")


def _set_text(part: EmailMessage, text: str, subtype: str) -> None:
    """Set a text body: as it is where SMTP takes it so, which keeps every link on one line."""
    plain = text.isascii() and all(len(line) < _LONGEST_LINE for line in text.splitlines())
    part.set_content(text, subtype=subtype, cte="7bit" if plain else "quoted-printable")
