"""A real SMTP server that keeps what it is given, byte for byte, and can be told to refuse."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from tests.support.postgres import free_port


@dataclass(frozen=True)
class Received:
    """One mail, as it came over the wire."""

    sender: str
    recipient: str
    raw: bytes
    session: int  # which connection it came over

    @property
    def message(self) -> EmailMessage:
        parsed = BytesParser(EmailMessage, policy=policy.default).parsebytes(self.raw)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def headers(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]

    def part(self, subtype: str) -> str:
        """The text of its `plain` or `html` part."""
        body = self.message.get_body((subtype,))
        assert body is not None
        text = body.get_content()
        assert isinstance(text, str)
        return text

    def link(self, door: str) -> str:
        """The first link to a door of ours in the text part, which must stand alone on its line."""
        lines = [line for line in self.part("plain").splitlines() if f"/{door}/" in line]
        assert lines, f"no link to {door}"
        assert lines[0] == lines[0].strip()
        assert " " not in lines[0]
        return lines[0]


@dataclass
class Sink:
    """Where mail arrives. `on_rcpt` and `on_data` may answer in the server's place."""

    mails: list[Received] = field(default_factory=list)
    on_rcpt: Callable[[str], str | None] = lambda _recipient: None
    on_data: Callable[[Received], str | None] = lambda _mail: None
    on_mail: Callable[[str], str | None] = lambda _sender: None
    before_data: str | None = None  # the answer to the DATA command itself
    smtputf8: bool = True
    port: int = field(default_factory=free_port)
    _controller: Controller | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def start(self) -> None:
        sink = self

        class Plain(SMTP):
            async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
                if sink.before_data is not None:
                    await self.push(sink.before_data)
                else:
                    await super().smtp_DATA(arg)

        class SinkController(Controller):
            def factory(self) -> SMTP:
                return Plain(sink, enable_SMTPUTF8=sink.smtputf8, ident="sink")

        self._controller = SinkController(self, hostname="127.0.0.1", port=self.port, ready_timeout=120)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_MAIL(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        refusal = self.on_mail(address)
        if refusal is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return refusal or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        refusal = self.on_rcpt(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = Received(envelope.mail_from, envelope.rcpt_tos[0], envelope.content, id(session))
        refusal = self.on_data(mail)
        if refusal is None:
            with self._lock:
                self.mails.append(mail)
        return refusal or "250 OK"

    def to(self, address: str) -> list[Received]:
        """The mails that an address got."""
        with self._lock:
            return [mail for mail in self.mails if mail.recipient == address]
