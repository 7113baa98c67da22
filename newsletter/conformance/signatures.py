"""The DKIM signatures of a mail, verified anew (RFC 6376): by the key that is in DNS, or that is given.

A mail comes from anywhere, and so does what DNS says of its signatures: both are bounded before they are
computed with, and whatever is wrong with them is a fault of the signature, never of the check.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import dkim
import dns.exception
import dns.resolver
import nacl.exceptions

from newsletter.conformance.mail import Mail, Signature, tags_of

_TIMEOUT = 5.0  # seconds, for one look-up
_MOST = 10  # signatures of one mail: more of them tell nothing new
_LONGEST_FIELD = 16 * 1024
# dkimpy takes the square of their number to find that no line ends after them.
_MANY_SPACES = re.compile(rb"[ \t]{1000}")
_LONGEST_RECORD = 4 * 1024
_LARGEST_KEY = 8192  # bits
_LARGEST_EXPONENT = 2**32
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")

FindRecord = Callable[[str], str]


class NoKey(Exception):
    """There is no such key. The message says why."""


class NoAnswer(Exception):
    """Whether there is such a key is not known. The message says why."""


@dataclass(frozen=True)
class _Checked:
    fault: str | None = None
    unknown: bool = False
    bits: int | None = None


def with_signatures(mail: Mail, find_record: FindRecord, now: datetime) -> Mail:
    """The mail, with what became of each of its signatures, the topmost first."""
    fields = mail.named("DKIM-Signature")[:_MOST]
    found = []
    for number, field in enumerate(fields):
        tags = tags_of(field.text) if len(field.raw) <= _LONGEST_FIELD else {}
        checked = _check(mail.raw, number, tags, find_record, now)
        found.append(Signature(tags, checked.fault, checked.unknown, checked.bits))
    return mail.verified(tuple(found))


def find_in_dns(name: str, resolver: dns.resolver.Resolver | None = None) -> str:
    """The TXT record of a key, by the machine's own resolver or another. Raises `NoKey` and `NoAnswer`."""
    try:
        asked = resolver or dns.resolver.Resolver()
        answer = asked.resolve(name, "TXT", lifetime=_TIMEOUT, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer) as error:
        raise NoKey(f"there is no record {name}") from error
    except (dns.exception.DNSException, OSError, UnicodeError) as error:
        said = "DNS did not answer" if isinstance(error, dns.exception.Timeout) else "DNS cannot be asked"
        raise NoAnswer(f"{said} for {name}: give the key by --dkim-key {name} FILE") from error
    records = [b"".join(record.strings).decode("latin-1") for record in answer]
    keys = [record for record in records if "p" in tags_of(record)]
    if len(keys) != 1:
        raise NoKey(f"{name} has {len(keys)} records of keys" if keys else f"the record {name} is no key")
    return keys[0]


def read_key(text: str) -> str:
    """The record that a file holds: as DNS shows it, as a line of a zone, or the public key in PEM. Raises
    `NoKey`."""
    pem = re.search(r"-----BEGIN PUBLIC KEY-----([\sA-Za-z0-9+/=]+)-----END PUBLIC KEY-----", text)
    quoted = re.findall(r'"([^"]*)"', text)
    record = "p=" + re.sub(r"\s", "", pem[1]) if pem else "".join(quoted) if quoted else text
    if "p" not in tags_of(record):
        raise NoKey('it holds no DKIM key: a record such as "v=DKIM1; p=…", or a public key in PEM')
    return " ".join(record.split())


def _check(raw: bytes, number: int, tags: dict[str, str], find: FindRecord, now: datetime) -> _Checked:
    domain, selector = tags.get("d", ""), tags.get("s", "")
    name = f"{selector}._domainkey.{domain}"
    if not (_HOST_NAME.fullmatch(domain) and _HOST_NAME.fullmatch(selector)) or len(name) > 253:
        return _Checked("it names no key: its d= or s= is none")
    if tags.get("a", "").lower() == "rsa-sha1":
        return _Checked("it is made with SHA-1, which no receiver takes (RFC 8301 §3.1)")
    expired = tags.get("x", "")
    if expired.isascii() and expired.isdigit() and int(expired[:15]) < now.timestamp():
        moment = datetime.fromtimestamp(min(int(expired[:15]), 10**10), UTC)
        return _Checked(f"it ended at {moment:%Y-%m-%d %H:%M} UTC (x=): check a mail that has just arrived")
    try:
        record = find(name)
    except NoKey as error:
        return _Checked(str(error))
    except NoAnswer as error:
        return _Checked(str(error), unknown=True)
    return _verify(raw, number, name, record)


def _verify(raw: bytes, number: int, name: str, record: str) -> _Checked:
    if _MANY_SPACES.search(raw):
        return _Checked("it is not verified: the mail has 1,000 spaces in a row, which no mail of ours has")
    if not tags_of(record).get("p"):
        return _Checked(f"the key {name} is revoked: its p= is empty")
    try:
        written = record.encode("ascii")
        key, bits, kind, _ = dkim.evaluate_pk(name, written[: _LONGEST_RECORD + 1])
        exponent = key["publicExponent"] if kind == b"rsa" else 0
        if len(written) > _LONGEST_RECORD or bits > _LARGEST_KEY or exponent > _LARGEST_EXPONENT:
            return _Checked(f"the key {name} is larger than any that receivers take")
    except _UNREADABLE as error:
        return _Checked(f"the key {name} cannot be read: {_first_line(error)}")
    try:
        verifier = dkim.DKIM(raw, minkey=1, timeout=_TIMEOUT)
        if verifier.verify(number, dnsfunc=lambda *_, **__: written):
            return _Checked(bits=bits)
    except dkim.ValidationError as error:
        if "body hash" in str(error):
            return _Checked("the body was changed after it was signed", bits=bits)
        return _Checked(f"it is not well made: {_first_line(error)}", bits=bits)
    except _UNREADABLE as error:
        return _Checked(f"it cannot be read: {_first_line(error)}", bits=bits)
    return _Checked(
        "a header that it covers was changed after it was signed, or it is of another key", bits=bits
    )


_UNREADABLE = (
    dkim.DKIMException,
    nacl.exceptions.CryptoError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return "".join(letter for letter in (lines[0] if lines else "")[:120] if letter.isprintable())
