"""The service as the public reaches it, through its proxies and its TLS.

It is asked with the links of nobody: signed by its keys, for a subscription that does not exist. Such a link
is answered as every other (checklist U9) and changes nothing: the check leaves no trace among real readers.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask

from newsletter.conformance.asking import Asker
from newsletter.conformance.place import Reader
from newsletter.conformance.rules import CannotCheck, NotShown, Rules
from newsletter.conformance.stage import nobody

reaching: Rules[Public] = Rules("In public")


@dataclass(frozen=True)
class Public:
    """The service at its public address."""

    app: Flask
    base_url: str
    asker: Asker

    @classmethod
    def at(cls, app: Flask, base_url: str) -> Public:
        """The service at `base_url`. Raises `CannotCheck` where nothing answers there."""
        parts = urlsplit(base_url)
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        host = parts.hostname or ""
        try:
            socket.create_connection((host, port), timeout=10).close()
        except OSError as error:
            raise CannotCheck(f"nothing answers at {base_url}: {error}") from error
        return cls(app, base_url, Asker(host, port, parts.netloc, tls))

    def reader(self) -> Reader:
        return nobody(self.app)

    nobody = reader

    def state(self, reader: Reader) -> str | None:  # noqa: ARG002
        return None

    def departures(self, reader: Reader) -> int | None:  # noqa: ARG002
        return None


@reaching.rule("the certificate is good", "U1", "RFC 8058 §3.1", in_public=True)
def certificate(public: Public) -> Iterator[str]:
    if not public.asker.tls:
        raise NotShown("NEWSLETTER_BASE_URL is not https")
    try:
        public.asker.ask("GET", public.reader().leave)
    except ssl.SSLCertVerificationError as error:
        yield error.verify_message


@reaching.rule("this service answers there, with these keys", "U8", in_public=True)
def same_service(public: Public) -> Iterator[str]:
    reply = public.asker.ask("GET", public.reader().leave)
    if reply.status == 404:
        yield "a link that is signed with our keys is unknown there: it is another service, or has other keys"
    elif reply.status != 200:
        yield f"a link of ours is answered {reply.status}"
