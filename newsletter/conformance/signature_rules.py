"""The rules of a mail that has gone through the relay: whether its DKIM signature passes, what that covers,
and what the receiver made of it. Where one passes, those that do not count for nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from newsletter.conformance.mail import Mail, Signature, tags_of
from newsletter.conformance.rules import NotShown, Rules

of_signature: Rules[Mail] = Rules("The signature")

_ONE_CLICK = ("From", "List-Unsubscribe", "List-Unsubscribe-Post")
_READ = ("From", "To", "Subject", "Date")
_FOR_MACHINES = ("List-Id", "Feedback-ID", "Auto-Submitted")
_LEAST_BITS = 2048
_RELAY = "the relay signs: save a mail as it arrived, and check it with --mail FILE"

_UNSIGNED = "the mail is not signed"


@of_signature.rule("a DKIM signature passes", "U2", "RFC 6376 §6.1")
def passes(mail: Mail) -> Iterator[str]:
    signatures = _signatures(mail)
    if not signatures:
        yield _UNSIGNED
    elif mail.checked is None:
        raise NotShown("the mail's signatures were not verified")
    elif all(one.unknown for one in signatures):
        raise NotShown("; ".join(str(one.fault) for one in signatures))
    for one in signatures:
        if one.fault is not None:
            yield f"{one.tags.get('d', 'one')}: {one.fault}"


@of_signature.rule(
    "a DKIM signature covers From, List-Unsubscribe and List-Unsubscribe-Post", "U2", "RFC 8058 §4"
)
def covers_one_click(mail: Mail) -> Iterator[str]:
    yield from _covers(mail, _ONE_CLICK)


@of_signature.rule("a DKIM signature covers From, To, Subject and Date", "U2", "RFC 6376 §5.4.1")
def covers_what_is_read(mail: Mail) -> Iterator[str]:
    yield from _covers(mail, _READ)


@of_signature.rule(
    "a DKIM signature covers List-Id, Feedback-ID and Auto-Submitted, where the mail has them", "U2"
)
def covers_what_machines_read(mail: Mail) -> Iterator[str]:
    yield from _covers(mail, tuple(name for name in _FOR_MACHINES if mail.named(name)))


@of_signature.rule("a signature's key has 2,048 bits or more, or is Ed25519", "U2", "RFC 8301 §3.2")
def has_a_strong_key(mail: Mail) -> Iterator[str]:
    read = [one for one in _signatures(mail) if one.bits is not None]
    if not read:
        raise NotShown("no key of a signature was read" if mail.arrived else _RELAY)
    if all(_is_weak(one) for one in read):
        yield f"its key has {max(one.bits or 0 for one in read):,} bits"


@of_signature.rule("a signature's domain is in line with the sender's", "U2", "RFC 7489 §3.1.1")
def is_aligned(mail: Mail) -> Iterator[str]:
    domains = [one.tags.get("d", "") for one in _signatures(mail)]
    if not domains:
        yield _UNSIGNED
    elif not any(_in_line(domain.lower(), mail.from_domain) for domain in domains):
        yield f"it is {', '.join(domains)}, the sender's is {mail.from_domain}"


@of_signature.rule("the signature covers the whole body", "U2", "RFC 6376 §8.2")
def covers_the_body(mail: Mail) -> Iterator[str]:
    signatures = _signatures(mail)
    if not signatures:
        yield _UNSIGNED
    elif all("l" in one.tags for one in signatures):
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


def describe(mail: Mail) -> dict[str, str]:
    """Each signature in a line, under its number."""
    return {f"signature {number}": _line(mail, one) for number, one in enumerate(mail.checked or (), 1)}


def _line(mail: Mail, signature: Signature) -> str:
    tags = signature.tags
    made = [f"{tags.get('d', '?')}, selector {tags.get('s', '?')}, {tags.get('a', '?')}"]
    made += [f"{signature.bits:,} bits"] if signature.bits is not None else []
    verdict = "passes" if signature.fault is None else signature.fault
    stand = Counter(field.name.lower() for field in mail.fields)
    more = [name for name, times in Counter(signature.covered).items() if name and times > stand[name]]
    sealed = f"; nobody can add {', '.join(more)}" if more else ""
    return _printable(f"{', '.join(made)}: {verdict}{sealed}")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:500])


def _signatures(mail: Mail) -> list[Signature]:
    """The DKIM signatures that count: those that pass, where one does. Raises `NotShown` where a mail that
    has not left yet has none."""
    found = mail.checked or [Signature(tags_of(field.text)) for field in mail.named("DKIM-Signature")]
    if not found and not mail.arrived:
        raise NotShown(_RELAY)
    return [one for one in found if one.fault is None] or [*found]


def _is_weak(signature: Signature) -> bool:
    is_rsa = signature.tags.get("a", "").lower().startswith("rsa")
    return is_rsa and (signature.bits or 0) < _LEAST_BITS


def _covers(mail: Mail, names: tuple[str, ...]) -> Iterator[str]:
    signatures = _signatures(mail)
    if not signatures:
        yield _UNSIGNED
        return
    missing = [_missing(one, names) for one in signatures]
    if all(missing):
        fewest = min(len(names) for names in missing)
        yield f"h= lacks {', '.join(next(names for names in missing if len(names) == fewest))}"


def _missing(signature: Signature, names: Sequence[str]) -> list[str]:
    return [name for name in names if name.lower() not in signature.covered]


def _in_line(domain: str, sender: str) -> bool:
    """Whether two domains are of one organisation, as far as that can be told without a list of suffixes."""
    return bool(domain) and (
        domain == sender or sender.endswith(f".{domain}") or (domain.endswith(f".{sender}") and "." in sender)
    )
