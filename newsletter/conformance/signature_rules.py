"""The rules of a mail that has gone through the relay: what its DKIM signature covers, and what the receiver
made of it. Signatures are not computed again: the receiver has done that, and says so in the mail."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from newsletter.conformance.mail import Mail
from newsletter.conformance.rules import NotShown, Rules

of_signature: Rules[Mail] = Rules("The signature")

_ONE_CLICK = ("From", "List-Unsubscribe", "List-Unsubscribe-Post")
_READ = ("From", "To", "Subject", "Date")
_RELAY = "the relay signs: save a mail as it arrived, and check it with --mail FILE"

_UNSIGNED = "the mail is not signed"


@of_signature.rule(
    "a DKIM signature covers From, List-Unsubscribe and List-Unsubscribe-Post", "U2", "RFC 8058 §4"
)
def covers_one_click(mail: Mail) -> Iterator[str]:
    yield from _covers(mail, _ONE_CLICK)


@of_signature.rule("a DKIM signature covers From, To, Subject and Date", "U2", "RFC 6376 §5.4.1")
def covers_what_is_read(mail: Mail) -> Iterator[str]:
    yield from _covers(mail, _READ)


@of_signature.rule("a signature's domain is in line with the sender's", "U2", "RFC 7489 §3.1.1")
def is_aligned(mail: Mail) -> Iterator[str]:
    domains = [signature.get("d", "") for signature in _signatures(mail)]
    if not domains:
        yield _UNSIGNED
    elif not any(_in_line(domain.lower(), mail.from_domain) for domain in domains):
        yield f"it is {', '.join(domains)}, the sender's is {mail.from_domain}"


@of_signature.rule("the signature covers the whole body", "U2", "RFC 6376 §8.2")
def covers_the_body(mail: Mail) -> Iterator[str]:
    signatures = _signatures(mail)
    if not signatures:
        yield _UNSIGNED
    elif all("l" in signature for signature in signatures):
        yield "it has l=, after which anybody may add what they like"


@of_signature.rule("the receiver found SPF, DKIM and DMARC to pass", "U2", "RFC 8601 §2.7")
def receiver_is_content(mail: Mail) -> Iterator[str]:
    # The topmost one is the receiver's own; whatever stands below may have come with the mail.
    said = mail.text_of("Authentication-Results").lower()
    if not said:
        raise NotShown("the mail holds no Authentication-Results" if mail.arrived else _RELAY)
    for method in ("spf", "dkim", "dmarc"):
        results = re.findall(rf"\b{method}=([a-z]+)", said)
        if "pass" not in results:
            yield f"{method} is {results[0] if results else 'not told'}"


def _signatures(mail: Mail) -> list[dict[str, str]]:
    """The tags of each DKIM-Signature. Raises `NotShown` where a mail that has not left yet has none."""
    found = [_tags(field.text) for field in mail.named("DKIM-Signature")]
    if not found and not mail.arrived:
        raise NotShown(_RELAY)
    return found


def _covers(mail: Mail, names: tuple[str, ...]) -> Iterator[str]:
    signatures = _signatures(mail)
    if not signatures:
        yield _UNSIGNED
        return
    missing = [_missing(signature, names) for signature in signatures]
    if all(missing):
        fewest = min(len(names) for names in missing)
        yield f"h= lacks {', '.join(next(names for names in missing if len(names) == fewest))}"


def _missing(signature: dict[str, str], names: Sequence[str]) -> list[str]:
    covered = signature.get("h", "").lower().split(":")
    return [name for name in names if name.lower() not in covered]


def _tags(value: str) -> dict[str, str]:
    """A tag list (RFC 6376 §3.2); white space within a value is of no meaning in the tags that are read."""
    pairs = (tag.partition("=") for tag in value.split(";"))
    return {name.strip(): re.sub(r"\s", "", text) for name, _, text in pairs}


def _in_line(domain: str, sender: str) -> bool:
    """Whether two domains are of one organisation, as far as that can be told without a list of suffixes."""
    return bool(domain) and (
        domain == sender or sender.endswith(f".{domain}") or (domain.endswith(f".{sender}") and "." in sender)
    )
