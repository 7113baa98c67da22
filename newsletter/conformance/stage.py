"""Where everything can be tried: a service whose readers are nobody's.

Readers sign up by its pages and are mailed by its worker and transport; whether they have left is read from
its database.
"""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from flask import Flask
from sqlalchemy import func, select

from newsletter.conformance.asking import Asker
from newsletter.conformance.catching import Catcher
from newsletter.conformance.mail import Expected, Mail
from newsletter.conformance.place import Reader
from newsletter.conformance.rules import CannotCheck, NotShown
from newsletter.database import write_transaction
from newsletter.domain.ids import new_id
from newsletter.domain.lifecycle import Event
from newsletter.extensions import db
from newsletter.mail.compose import Composer
from newsletter.mail.inbound import Envelope, Inbound
from newsletter.mail.transport import RelayDown
from newsletter.mail.worker import Worker
from newsletter.models import AddressChange, ConsentEvent, Subscriber, Subscription
from newsletter.models.outbox import Kind
from newsletter.parts import parts
from newsletter.services import lists, outbox

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Stage:
    """A service that may be tried as roughly as one likes: `app` is what reads its database and sends its
    mail, `asker` reaches its pages."""

    app: Flask
    asker: Asker
    catcher: Catcher
    slug: str
    log_file: Path | None = None
    together: int = 12  # readers that sign up before their mail is sent
    readers: list[Reader] = field(default_factory=list)
    _waiting: list[Reader] = field(default_factory=list)
    _samples: dict[str, Mail] = field(default_factory=dict)

    def reader(self) -> Reader:
        """Somebody new, who has signed up and got the confirmation."""
        if not self._waiting:
            addresses = [self.sign_up() for _ in range(self.together)]
            self.send_mail()
            self._waiting = [self.registered(address) for address in addresses]
        return self._waiting.pop()

    def leave_by_mail(self, reader: Reader) -> None:
        """Write to the mailto of the reader's List-Unsubscribe, as a mail program does. Raises `NotShown`."""
        with self.app.app_context():
            settings, links = parts().settings, parts().links
        if settings.inbound_domain is None:
            raise NotShown("NEWSLETTER_INBOUND_DOMAIN is not set: no mail can come back")
        header = self.mails_to(reader.address)[0].text_of("List-Unsubscribe")
        mailto = re.search(r"<mailto:([^<>?]+)", header)
        if mailto is None:
            return
        mail = f"From: {reader.address}\r\nTo: {mailto[1]}\r\nSubject: unsubscribe\r\n\r\n"
        Inbound(self.app, settings, links).take(Envelope(mailto[1], reader.address, mail.encode()))

    def samples(self) -> dict[str, Mail]:
        """A mail of each kind that the service sends, the same ones however often they are asked for."""
        if not self._samples:
            self._samples = self._new_samples()
        return self._samples

    def _new_samples(self) -> dict[str, Mail]:
        address = self.sign_up()
        samples: dict[str, Mail] = {}
        self._add_new("the confirmation", address, samples)
        if not samples:
            raise CannotCheck("the confirmation did not arrive at the catcher: its log above says why")
        reader = self.registered(address)
        self._queue(Kind.REMINDER, reader)
        self._add_new("the reminder", address, samples)
        self.asker.ask("POST", reader.confirm)
        self._add_new("the welcome", address, samples)  # where the list has one
        self._queue(Kind.ALREADY_SUBSCRIBED, reader)
        self._add_new("«you are subscribed already»", address, samples)
        self.asker.ask("POST", "/unsubscribe", headers=_FORM, body=f"email={quote(address)}".encode())
        self._add_new("«send me my link»", address, samples)
        links = samples.get("«send me my link»")
        if links is not None and (page := links.door("manage")) is not None:
            new_address = _nobodys_address()
            body = f"do=address&email={quote(new_address)}".encode()
            self.asker.ask("POST", page.removeprefix(links.expected.base_url), headers=_FORM, body=body)
            self._add_new("the change of address", new_address, samples)
            self._add_new("the notice of it", address, samples)
        return samples

    def _queue(self, kind: Kind, reader: Reader) -> None:
        """Make a mail that no visitor can cause at once."""
        with self.app.app_context():
            session, settings = db.session(), parts().settings
            mailing_list = lists.find(session, self.slug)
            assert mailing_list is not None
            domain = mailing_list.sender_or(settings.mail_from).domain
            row = outbox.single_row(
                reader.subscription_id, kind, datetime.now(UTC), generation=1, sender_domain=domain
            )
            with write_transaction(session):
                outbox.enqueue(session, [row])

    def _add_new(self, name: str, address: str, samples: dict[str, Mail]) -> None:
        """Send what is due, and keep what came of it."""
        self.send_mail()
        known = {mail.raw for mail in samples.values()}
        for mail in self.mails_to(address):
            if mail.raw not in known:
                samples[name] = mail

    def log(self) -> str:
        """What the server has written so far."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file is not None else ""

    def sign_up(self) -> str:
        """Sign up somebody who is nobody, by the form; returns the address."""
        address = _nobodys_address()
        reply = self.asker.ask(
            "POST",
            f"/lists/{self.slug}/subscriptions",
            headers=_FORM,
            body=f"email={quote(address)}".encode(),
        )
        if reply.status != 200:
            raise CannotCheck(f"the copy of the service does not take a sign-up: it answers {reply.status}")
        return address

    def send_mail(self) -> None:
        """What the worker does, once."""
        with self.app.app_context():
            settings, links = parts().settings, parts().links
        worker = Worker(self.app, settings, Composer(settings, links), threading.Event())
        try:
            worker.run(once=True)
        except RelayDown as error:
            raise CannotCheck(f"the mail cannot be sent: {error}") from error

    def mails_to(self, address: str) -> list[Mail]:
        """All mail that an address got."""
        with self.app.app_context():
            settings = parts().settings
        expected = Expected(settings.base_url, settings.on_loopback)
        return [
            Mail(raw, expected, recipient) for recipient, raw in self.catcher.caught() if recipient == address
        ]

    def registered(self, address: str) -> Reader:
        """The reader with an address, and the links of their first mail, where that was sent."""
        with self.app.app_context():
            base_url, links = parts().settings.base_url, parts().links
            subscription_id, generation = db.session.execute(
                select(Subscription.id, Subscription.generation)
                .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
                .where(Subscriber.address == address)
            ).one()
        leave, confirm = None, None
        for mail in self.mails_to(address):
            leave, confirm = mail.unsubscribe_url, mail.door("confirm")
        # A link that is not as it should be is told of by the rules of the mail; the others go on.
        if leave is None or not leave.startswith(f"{base_url}/"):
            leave = f"{base_url}/unsubscribe/{links.unsubscribe_token(subscription_id)}"
        if confirm is None:
            token = links.confirm_token(subscription_id, generation, now=datetime.now(UTC))
            confirm = f"{base_url}/confirm/{token}"
        reader = Reader(
            subscription_id, address, leave.removeprefix(base_url), confirm.removeprefix(base_url)
        )
        self.readers.append(reader)
        return reader

    def nobody(self) -> Reader:
        """Somebody whose subscription was erased."""
        return nobody(self.app)

    def state(self, reader: Reader) -> str | None:
        with self.app.app_context():
            return db.session.scalar(
                select(Subscription.state).where(Subscription.id == reader.subscription_id)
            )

    def stored(self) -> tuple[object, ...]:
        """What no look may change: how much has happened, who has which address, and what became of changes
        of it."""
        with self.app.app_context():
            return tuple(
                tuple(db.session.execute(query).all())
                for query in (
                    select(func.count()).select_from(ConsentEvent),
                    select(Subscriber.address, Subscriber.generation).order_by(Subscriber.id),
                    select(AddressChange.made_at, AddressChange.stopped_at).order_by(AddressChange.id),
                )
            )

    def departures(self, reader: Reader) -> int | None:
        with self.app.app_context():
            return db.session.scalar(
                select(func.count())
                .select_from(ConsentEvent)
                .where(
                    ConsentEvent.subscription_id == reader.subscription_id,
                    ConsentEvent.kind == Event.UNSUBSCRIBE.value,
                )
            )


def _nobodys_address() -> str:
    return f"conformance-{secrets.token_hex(6)}@example.org"


def nobody(app: Flask) -> Reader:
    """A reader whose links are signed, and whose subscription is not there."""
    now = datetime.now(UTC)
    identifier = new_id(now)
    with app.app_context():
        links = parts().links
        return Reader(
            identifier,
            "nobody",
            f"/unsubscribe/{links.unsubscribe_token(identifier)}",
            f"/confirm/{links.confirm_token(identifier, 1, now=now)}",
        )
