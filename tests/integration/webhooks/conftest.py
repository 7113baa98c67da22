"""What the tests of webhooks share: a service that may call this machine, and somebody who takes the calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.receiver import Receiver, receiving
from tests.support.service import Service


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, make_service: Callable[..., Service]) -> Service:
    """One whose webhooks may lead to this machine."""
    return make_service(request.param, NEWSLETTER_WEBHOOKS_TO_PRIVATE="on")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver
