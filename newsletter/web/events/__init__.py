"""Where providers that carry our mail tell what became of it. A door exists only once its provider is set.

Each file is loaded only then, too: what verifies the signatures of two of them takes ten megabytes of every
process.
"""

from __future__ import annotations

from flask import Flask

from newsletter.settings import Settings

__all__ = ["register_events"]


def register_events(app: Flask, settings: Settings) -> None:
    """Open the doors of those providers that are set. Raises `SettingsError`."""
    if settings.ses_topic_arn is not None:
        from newsletter.web.events import ses

        ses.register(app)
    if settings.postmark_webhook is not None:
        from newsletter.web.events import postmark

        postmark.register(app)
    if settings.mailgun_signing_key is not None:
        from newsletter.web.events import mailgun

        mailgun.register(app)
    if settings.sendgrid_public_key is not None:
        from newsletter.web.events import sendgrid

        sendgrid.register(app, settings.sendgrid_public_key)
