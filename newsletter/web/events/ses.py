"""The door of Amazon SES, whose events come as messages of Amazon SNS."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import cast

import structlog
from flask import Flask, Response, current_app

from newsletter.domain.provider_events import sns
from newsletter.domain.provider_events.report import Forged
from newsletter.domain.provider_events.ses import read_reports
from newsletter.domain.return_paths import ReturnPaths
from newsletter.extensions import csrf
from newsletter.parts import parts
from newsletter.services.take_reports import Delivery
from newsletter.settings import Settings
from newsletter.web.events import door
from newsletter.web.events.amazon import Amazon, https

_AMAZON = "newsletter.amazon"

log = structlog.get_logger()


def register(app: Flask) -> None:
    app.extensions[_AMAZON] = Amazon(https(ssl.create_default_context()))
    door.open_door(app, "ses", take_ses)


@csrf.exempt
def take_ses() -> Response:
    """A message of the topic: a subscription to confirm, or what became of a mail."""
    settings = parts().settings
    topic_arn = settings.ses_topic_arn or ""
    amazon = cast("Amazon", current_app.extensions[_AMAZON])
    with door.refusals("ses"):
        message = sns.read_message(
            door.body(), topic_arn=topic_arn, now=datetime.now(UTC), certificate_at=amazon.certificate
        )
        if message.type == "Notification":
            return door.take(Delivery("ses", tuple(read_reports(message, _return_paths(settings)))))
        if message.type == "SubscriptionConfirmation":
            if not sns.is_subscribe_url(message.subscribe_url, topic_arn):
                raise Forged("its SubscribeURL is not Amazon's")
            amazon.confirm(message.subscribe_url)
            log.info("sns_subscription_confirmed", topic=topic_arn)
        else:
            log.warning("sns_subscription_ended", topic=topic_arn)
        return door.take(Delivery("ses", ()))


def _return_paths(settings: Settings) -> ReturnPaths | None:
    if settings.inbound_domain is None:
        return None
    return ReturnPaths(settings.inbound_domain, settings.secret_keys, settings.retired_keys)
