"""A service that is as patient as a busy machine is slow. What is impatient on purpose is tested with a patience that
the test itself sets, so that no other test depends on how quickly the machine answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from newsletter.conformance import asking
from newsletter.domain import webhooks
from newsletter.mail import transport
from newsletter.services import figures
from newsletter.web import limiting, metrics, scans, writer
from newsletter.web.events import amazon
from newsletter.work import posting

_LONG = 120.0  # seconds


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (limiting, metrics, writer):
        monkeypatch.setattr(module, "_PATIENCE", _LONG)
    monkeypatch.setattr(writer, "_ONE_CLICK_PATIENCE", _LONG)
    monkeypatch.setattr(writer, "_PATIENCE_WITH_IMPORTS", 2 * _LONG)
    monkeypatch.setattr(figures, "_PATIENCE", int(_LONG * 1000))
    for module in (amazon, asking):
        monkeypatch.setattr(module, "_TIMEOUT", _LONG)
    for name in ("_CONNECT", "_TOTAL"):
        monkeypatch.setattr(posting, name, _LONG)
    monkeypatch.setattr(transport, "_CONNECT_TIMEOUT", _LONG)
    monkeypatch.setattr(scans, "_EVERY", 3600.0)  # looks are added when a test says so
    # Otherwise a message is sent again after five seconds, in the midst of a slow test.
    monkeypatch.setattr(webhooks, "_WAITS", (timedelta(hours=1),) * len(webhooks._WAITS))
