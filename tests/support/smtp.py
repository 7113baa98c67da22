"""A real SMTP server that keeps what it is given, byte for byte, and can be told to refuse."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from tests.support.postgres import free_port

DROP = "drop"  # in place of an answer: the connection breaks
STEPS = ("connect", "ehlo", "mail", "rcpt", "data", "dot")  # where a relay answers


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
    """Where mail arrives. `on_rcpt` and `on_data` may answer in the server's place, and `on_step` at each of
    `STEPS`, given whom or what it is about. While `holds` says so of a step and a recipient, the answer waits."""

    mails: list[Received] = field(default_factory=list)
    on_rcpt: Callable[[str], str | None] = lambda _recipient: None
    on_data: Callable[[Received], str | None] = lambda _mail: None
    on_mail: Callable[[str], str | None] = lambda _sender: None
    on_step: Callable[[str, str], str | None] = lambda _step, _about: None
    holds: Callable[[str, str], bool] = lambda _step, _recipient: False
    takes_login: bool = True
    most: int = 1000  # connections at once
    open: int = 0
    most_open: int = 0
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
            _counted = False

            async def _handle_client(self) -> None:
                answer = sink.on_step("connect", "")
                if sink.open >= sink.most:
                    answer = "421 4.7.0 too many connections"
                if answer is not None:
                    await self.push(answer)
                    if self.transport is not None:
                        self.transport.close()
                    return
                self._counted = True
                sink.open += 1
                sink.most_open = max(sink.most_open, sink.open)
                await super()._handle_client()

            def connection_lost(self, error: Exception | None) -> None:
                sink.open -= self._counted
                self._counted = False
                super().connection_lost(error)

            async def push(self, status: Any) -> None:
                if status == DROP:
                    assert isinstance(self.transport, asyncio.Transport)
                    self.transport.abort()
                else:
                    await super().push(status)

            async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802 - aiosmtpd's name
                answer = sink.on_step("ehlo", hostname)
                await (super().smtp_EHLO(hostname) if answer is None else self.push(answer))

            async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802
                answer = sink.on_step("ehlo", hostname)
                await (super().smtp_HELO(hostname) if answer is None else self.push(answer))

            async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
                assert self.envelope is not None
                answer = sink.before_data or sink.on_step("data", (*self.envelope.rcpt_tos, "")[0])
                await (super().smtp_DATA(arg) if answer is None else self.push(answer))

        class SinkController(Controller):
            def factory(self) -> SMTP:
                return Plain(
                    sink, enable_SMTPUTF8=sink.smtputf8, ident="sink", auth_require_tls=False,
                    authenticator=lambda *_: AuthResult(success=sink.takes_login, handled=False),
                )  # fmt: skip

        self._controller = SinkController(self, hostname="127.0.0.1", port=self.port, ready_timeout=120)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_MAIL(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        refusal = self.on_mail(address) or self.on_step("mail", address)
        if refusal is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return refusal or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        await self._hold("rcpt", address)
        refusal = self.on_rcpt(address) or self.on_step("rcpt", address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = Received(envelope.mail_from, envelope.rcpt_tos[0], envelope.content, id(session))
        await self._hold("dot", mail.recipient)
        refusal = self.on_data(mail) or self.on_step("dot", mail.recipient)
        if refusal is None:
            with self._lock:
                self.mails.append(mail)
        return refusal or "250 OK"

    async def _hold(self, step: str, recipient: str) -> None:
        while self.holds(step, recipient):
            await asyncio.sleep(0.01)

    def to(self, address: str) -> list[Received]:
        """The mails that an address got."""
        with self._lock:
            return [mail for mail in self.mails if mail.recipient == address]
