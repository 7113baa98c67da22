"""What is fetched from Amazon: the certificates that SNS signs with, and the confirmation of a subscription.

Who may be asked is decided before (newsletter.domain.provider_events.sns); here it is asked without patience.
A certificate is kept for the life of the process, and anybody may make us ask for one that does not
exist, so only so many are asked for in a minute.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from typing import TypeAlias
from urllib.parse import urlsplit

from newsletter.version import __version__

Fetch: TypeAlias = Callable[[str], bytes]

_TIMEOUT = 5.0  # seconds, for each step
_TOTAL = 10.0
_MOST_READ = 64 * 1024
_MOST_IN_A_MINUTE = 10
_MOST_KEPT = 16


class Unreachable(Exception):
    """Amazon did not give what was asked for. The message says why, in one line."""


class Amazon:
    """Fetches and keeps certificates. `fetch` gets what is at an address, or raises `Unreachable`."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._kept: dict[str, bytes] = {}
        self._asked: deque[float] = deque(maxlen=_MOST_IN_A_MINUTE)
        self._turn = threading.Lock()

    def certificate(self, url: str) -> bytes:
        """The certificate at an address. Raises `Unreachable`."""
        kept = self._kept.get(url)
        if kept is not None:
            return kept
        with self._turn:
            if url not in self._kept:
                self._wait_not()
                pem = self._fetch(url)
                if not pem.startswith(b"-----BEGIN CERTIFICATE-----"):
                    raise Unreachable("its answer is no certificate")
                while len(self._kept) >= _MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[url] = pem
            return self._kept[url]

    def confirm(self, subscribe_url: str) -> None:
        """Confirm a subscription. Raises `Unreachable`."""
        with self._turn:
            self._wait_not()
            self._fetch(subscribe_url)

    def _wait_not(self) -> None:
        now = time.monotonic()
        if len(self._asked) == _MOST_IN_A_MINUTE and now - self._asked[0] < 60:
            raise Unreachable(f"it was asked {_MOST_IN_A_MINUTE} times within a minute")
        self._asked.append(now)


def https(tls: ssl.SSLContext, *, patience: float = _TOTAL) -> Fetch:
    """Fetch over HTTPS: no redirect is followed, and an answer has an end in seconds and in bytes."""

    def fetch(url: str) -> bytes:
        parts = urlsplit(url)
        connection = HTTPSConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT, context=tls)
        try:
            connection.request(
                "GET",
                f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path,
                headers={"User-Agent": f"Newsletter/{__version__}", "Accept-Encoding": "identity"},
            )
            response = connection.getresponse()
            if response.status != 200:
                raise Unreachable(f"it answers {response.status}")
            return _read(response, time.monotonic() + patience)
        except (OSError, HTTPException) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()

    return fetch


def _read(response: HTTPResponse, ends: float) -> bytes:
    body = b""
    while piece := response.read1(_MOST_READ):
        body += piece
        if len(body) > _MOST_READ:
            raise Unreachable("its answer is too large")
        if time.monotonic() > ends:
            raise Unreachable("its answer takes too long")
    if response.length:
        raise Unreachable("its answer was cut short")
    return body
