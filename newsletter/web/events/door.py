"""What every provider's door does: a request is one transaction, and every refusal has one meaning.

What is not about our mail is answered 200 as well, or it would come again for hours; what is not proved, 403;
what no provider would send, 400 or 413. While the database or Amazon is away, 503: the provider tries again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import ServiceUnavailable

from newsletter import counted
from newsletter.domain.provider_events.report import Forged, TooMany, Unreadable
from newsletter.services.take_reports import Became, Delivery, take_reports
from newsletter.services.take_return import MEANT_SOMETHING
from newsletter.web.events.amazon import Unreachable
from newsletter.web.problems import Problem
from newsletter.web.writer import writer

# SNS sends 256 kB at most, SendGrid 768 kB.
_LARGEST_BODY = 1024 * 1024

log = structlog.get_logger()


def open_door(app: Flask, provider: str, view: Callable[[], Response]) -> None:
    """Give a provider its address."""
    app.add_url_rule(f"/events/{provider}", f"events.{provider}", view, methods=["POST"])


def body() -> bytes:
    """The body of this request, as it was sent."""
    request.max_content_length = _LARGEST_BODY
    return request.get_data(cache=False)


def take(delivery: Delivery) -> Response:
    """Take what a request tells, in one transaction."""
    if delivery.reports or delivery.token:
        became = writer().run(take_reports, delivery)
        if became:
            log.info("provider_events", provider=delivery.provider, **_by_result(became))
        for (kind, result), times in became.items():
            if result in MEANT_SOMETHING:
                counted.returned(kind.value, delivery.provider, times=times)
    return jsonify(status="taken")


def _by_result(became: Counter[Became]) -> Counter[str]:
    results: Counter[str] = Counter()
    for (_, result), times in became.items():
        results[result] += times
    return results


@contextmanager
def refusals(provider: str) -> Iterator[None]:
    """Answer what is not taken, and note why: an operator who has set up something wrong looks for it."""
    try:
        yield
    except Forged as error:
        log.warning("provider_events_refused", provider=provider, reason=str(error))
        raise Problem(403, "not_proved", "The request is not proved to come from the provider.") from error
    except Unreadable as error:
        log.warning("provider_events_refused", provider=provider, reason=str(error))
        raise Problem(400, "malformed", "The body is none that the provider sends.") from error
    except TooMany as error:
        log.warning("provider_events_refused", provider=provider, reason=str(error))
        raise Problem(413, "too_large", f"The request holds {error}.") from error
    except Unreachable as error:
        log.error("amazon_away", reason=str(error))
        raise ServiceUnavailable(retry_after=30) from error
