"""What is an address, and when are two addresses the same one.

Mail goes to the address as it was typed; whether we know somebody is decided by the identity key.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import chain

from email_validator import EmailNotValidError, validate_email

from newsletter.domain.languages import N_
from newsletter.domain.pasted_addresses import (
    INVISIBLE,
    INVISIBLE_CLASS,
    WHITE,
    WHITE_CLASS,
    addresses_in,
    unwrap,
)

LONGEST_LOCAL_PART = 64  # octets, RFC 5321 §4.5.3.1.1
LONGEST_ADDRESS = 254  # octets, RFC 5321 §4.5.3.1.3 with its erratum 1690
_LONGEST_EXCERPT = 30  # characters
# What no address holds: blanks, controls, what shows nothing, what RFC 5322 keeps for other ends, and dots
# that stand beside another, the @ or an end.
_FOREIGN = re.compile(
    rf"[\x00-\x20\x7f-\x9f\ud800-\udfff\"(),:;<>\[\\\]{WHITE_CLASS}{INVISIBLE_CLASS}]|\.(?=\.|@|\Z)|(?<=@)\.|\A\."
)
_FOREIGN_TO_DOMAINS = re.compile(r"[!#$%&'*+/=?^_`{|}~…]")
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"


class AddressError(ValueError):
    """The text is no address that mail can go to. The message is for the person who typed it: `text` is one
    of our catalogs, in English, and `values` what is filled in."""

    def __init__(self, text: str, **values: str) -> None:
        super().__init__(text % values if values else text)
        self.text, self.values = text, values


@dataclass(frozen=True)
class Address:
    """An address that mail can go to.

    `text` is what was typed, without what stood around it, with its domain in lower case. `identity` is equal
    for two addresses that we hold to be the same person's (checklist A18).
    """

    text: str
    identity: str

    @property
    def domain(self) -> str:
        return self.text.rpartition("@")[2]


def parse_address(typed: str) -> Address:
    """Check what somebody typed or pasted by email-validator's rules and the octet limits (A8, A15, A17).
    What stands around the address is taken off; what does not belong inside is refused by its name.

    Never asks the network. Raises `AddressError`.
    """
    text = unwrap(typed)
    if not text:
        raise AddressError(N_("Please enter your email address."))
    if len(text) > 4 * LONGEST_ADDRESS:
        raise AddressError(N_("This is too long for an email address."))
    if "\N{REPLACEMENT CHARACTER}" in text:
        raise AddressError(N_("The address did not arrive whole. Please type it again."))
    _refuse_foreign(text)
    if "=?" in text:
        # The beginning of an encoded word (RFC 2047): no header could carry it.
        raise AddressError(N_("An email address does not hold the characters =? one after the other."))
    try:
        checked = validate_email(text, check_deliverability=False)
    except EmailNotValidError as error:
        raise AddressError(_mistake(text)) from error
    address = checked.normalized
    if len(checked.local_part.encode()) > LONGEST_LOCAL_PART:
        raise AddressError(N_("The part before the @ is too long for an email address."))
    if (
        max(len(address.encode()), len(f"{checked.local_part}@{checked.ascii_domain}".encode()))
        > LONGEST_ADDRESS
    ):
        raise AddressError(N_("This is too long for an email address."))
    return Address(text=address, identity=f"{fold(checked.local_part)}@{checked.ascii_domain.lower()}")


def fold(local_part: str) -> str:
    """The local part without the differences that no mail system keeps apart: case and composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local_part).casefold())


# Where dots in the local part mean nothing.
_WITHOUT_DOTS = frozenset({"gmail.com", "googlemail.com"})


def mailbox_of(identity: str) -> str:
    """The mailbox that an identity most likely leads to: without a tag (`ann+news@`), and without dots where
    they mean nothing. For counting only: whether two people are one is for `identity` to say."""
    local, _, domain = identity.rpartition("@")
    bare = local.partition("+")[0] or local
    return f"{bare.replace('.', '') if domain in _WITHOUT_DOTS else bare}@{domain}"


def mask(address: str) -> str:
    """An address that its owner recognises and nobody else learns: `j•••@example.org` (U10)."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def envelope_form(address: str) -> str:
    """The address as SMTP wants it: the domain in its ASCII form, so that only a local part
    outside ASCII needs a relay with SMTPUTF8 (A19)."""
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    return f"{local}@{validate_email('a@' + domain, check_deliverability=False).ascii_domain}"


def spellings_of_domain(domain: str) -> set[str]:
    """A domain in letters and in its ASCII form, by which mail systems know it."""
    try:
        checked = validate_email("a@" + domain, check_deliverability=False)
    except EmailNotValidError:
        return {domain}
    return {domain, checked.domain, checked.ascii_domain}


def _refuse_foreign(text: str) -> None:
    """Name what does not belong into an address, and where it stands. Raises `AddressError`."""
    second = text.find("@", text.find("@") + 1)
    if second > 0:
        if len(addresses_in(text)) > 1:
            raise AddressError(N_("There is more than one email address here. Please enter one."))
        before = _excerpt(text[:second])
        raise AddressError(
            N_("There is a second @ sign after “%(before)s”. An email address has one."), before=before
        )
    in_domain = _FOREIGN_TO_DOMAINS.search(text, text.find("@")) if "@" in text else None
    for found in chain(_FOREIGN.finditer(text), (in_domain,) if in_domain else ()):
        character, place = found[0], found.start()
        if character in _JOINERS and place and not text[place - 1].isascii():
            continue  # a letter of scripts that join them, which the rules of its script decide on
        shown = character if character.isprintable() and character != " " else f"U+{ord(character):04X}"
        if place == 0:
            raise AddressError(N_("An email address cannot begin with “%(character)s”."), character=shown)
        before = _excerpt(text[:place])
        raise AddressError(_why_foreign(character), before=before, character=shown)


def _why_foreign(character: str) -> str:
    if character == ",":
        return N_("There is a comma after “%(before)s”. Should it be a dot?")
    if character == ".":
        return N_("There is one dot too many after “%(before)s”.")
    if character in "\n\r\x85\u2028\u2029":
        return N_("There is a line break after “%(before)s”. An email address has none.")
    if character in WHITE:
        return N_("There is a space after “%(before)s”. An email address has none.")
    if character in INVISIBLE or not character.isprintable():
        return N_(
            "There is an invisible character (%(character)s) after “%(before)s”. Please delete it, or type "
            "the address again."
        )
    return N_("The character “%(character)s” after “%(before)s” does not belong there.")


def _excerpt(before: str) -> str:
    return before if len(before) <= _LONGEST_EXCERPT else f"…{before[-_LONGEST_EXCERPT:]}"


def _mistake(text: str) -> str:
    """What is wrong with a text that is no address: the usual slips by their name."""
    local, at, domain = text.rpartition("@")
    if not at:
        return N_("The @ sign is missing. An email address looks like ann@example.org.")
    if not local:
        return N_("Something is missing before the @ sign.")
    if not domain:
        return N_("Something is missing after the @ sign.")
    if not _is_domain(domain):
        return N_("The part after the @ sign does not look right. Please check its spelling.")
    return N_("This does not look like an email address. Please check its spelling.")


def _is_domain(domain: str) -> bool:
    try:
        validate_email("a@" + domain, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True
