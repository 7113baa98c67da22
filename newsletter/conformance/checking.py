"""What is checked, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.conformance.mail import Mail
from newsletter.conformance.mail_rules import of_mail
from newsletter.conformance.one_click_rules import one_click
from newsletter.conformance.page_rules import pages
from newsletter.conformance.public import Public, reaching
from newsletter.conformance.rules import Result
from newsletter.conformance.scanner_rules import scanning
from newsletter.conformance.signature_rules import of_signature
from newsletter.conformance.stage import Stage
from newsletter.conformance.whole_rules import whole


def check_stage(stage: Stage) -> Iterator[Result]:
    """Everything that a copy of the service can show."""
    mails = stage.samples()
    yield from of_mail.judge(mails)
    yield from of_signature.judge(mails)
    for rules in (one_click, scanning, pages):
        yield from rules.judge({"": stage})
    yield from whole.judge({"": stage})


def check_public(public: Public) -> Iterator[Result]:
    """What can be seen of the service in public without touching a reader."""
    yield from reaching.judge({"": public}, in_public=True)
    for rules in (one_click, scanning):
        yield from rules.judge({"": public}, in_public=True)


def check_mail(mail: Mail) -> Iterator[Result]:
    """A mail as it arrived somewhere."""
    yield from of_mail.judge({"": mail})
    yield from of_signature.judge({"": mail})
