"""The rules of a mail's headers, lines and parts."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from newsletter.conformance.mail import Mail
from newsletter.conformance.rules import NotShown, Rules

of_mail: Rules[Mail] = Rules("The mail")

_LONGEST_LINE = 998
_LONGEST_QUOTED_PRINTABLE = 76
_LONGEST_ENCODED_WORD = 75
_LEAST_SIGNATURE = 16  # bytes: 128 bits
_ENCODED_WORD = re.compile(rb"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=")
_ONCE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "List-Id")
_DOT_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"


@of_mail.rule("has exactly one List-Unsubscribe", "U1", "RFC 8058 §3.1")
def one_list_unsubscribe(mail: Mail) -> Iterator[str]:
    found = len(mail.named("List-Unsubscribe"))
    if found != 1:
        yield f"it has {found}"


@of_mail.rule("has exactly one List-Unsubscribe-Post, and it says One-Click", "U1", "RFC 8058 §3.1")
def one_list_unsubscribe_post(mail: Mail) -> Iterator[str]:
    found = mail.named("List-Unsubscribe-Post")
    if len(found) != 1:
        yield f"it has {len(found)}"
    for field in found:
        if field.text != "List-Unsubscribe=One-Click":
            yield f"it says {field.text!r}"


@of_mail.rule("List-Unsubscribe holds one web address, and a mailto only after it", "U1", "RFC 8058 §3.1")
def one_web_address(mail: Mail) -> Iterator[str]:
    for field in mail.named("List-Unsubscribe"):
        uris = re.findall(r"<([^<>]*)>", field.text)
        web = [uri for uri in uris if uri.startswith(("http://", "https://"))]
        if len(web) != 1:
            yield f"it holds {len(web)} web addresses"
        if uris and web and uris[0] != web[0]:
            yield f"{uris[0].partition(':')[0]} comes before the web address"
        if other := [uri for uri in uris if not uri.startswith(("http://", "https://", "mailto:"))]:
            yield f"it holds {other[0]!r}, which is neither web address nor mailto"


@of_mail.rule("List-Unsubscribe is neither encoded nor folded inside an address", "U1", "RFC 2369 §2")
def list_unsubscribe_is_whole(mail: Mail) -> Iterator[str]:
    for field in mail.named("List-Unsubscribe"):
        if b"=?" in field.raw:
            yield "it is an encoded word, which mail programs do not decode here"
        if re.search(rb"<[^<>]*\s[^<>]*>", field.raw):
            yield "an address in it is folded or holds a space"
        elif not re.fullmatch(r"<[^<>\s]+>(\s*,\s*<[^<>\s]+>)*", field.text):
            yield f"it is not a list of addresses in angle brackets: {field.text[:100]!r}"


@of_mail.rule("the unsubscribe link is https", "U1", "RFC 8058 §3.1")
def unsubscribe_is_https(mail: Mail) -> Iterator[str]:
    url = mail.unsubscribe_url
    if url is not None and url.startswith("http://"):
        if mail.expected.on_loopback:
            raise NotShown("NEWSLETTER_BASE_URL is this machine's own, for trying the service out")
        yield "it is http: set NEWSLETTER_BASE_URL to https://…"


@of_mail.rule("the unsubscribe link leads to this service, not through a tracker", "U18")
def unsubscribe_is_ours(mail: Mail) -> Iterator[str]:
    ours = f"{mail.expected.base_url}/"
    url = mail.unsubscribe_url
    if url is not None and not url.startswith(ours):
        yield f"List-Unsubscribe leads to {url[:100]}, not to {ours}…"
    for subtype in ("plain", "html"):
        if mail.part(subtype) is not None and not any(link.startswith(ours) for link in mail.links(subtype)):
            yield f"no link in text/{subtype} leads to {ours}…"


@of_mail.rule("lines have at most 998 characters", "U1 S3", "RFC 5322 §2.1.1")
def lines_fit(mail: Mail) -> Iterator[str]:
    for number, line in enumerate(mail.raw.split(b"\r\n"), 1):
        if len(line) > _LONGEST_LINE:
            yield f"line {number} has {len(line)}"


@of_mail.rule("lines end in CRLF, and nothing else does", "S3", "RFC 5321 §2.3.8")
def lines_end_well(mail: Mail) -> Iterator[str]:
    if mail.arrived:
        raise NotShown("the file's line ends may be the mail program's own")
    if re.search(rb"(?<!\r)\n|\r(?!\n)", mail.raw):
        yield "there is a CR or LF that stands alone"
    if b"\0" in mail.raw:
        yield "there is a NUL"


@of_mail.rule("lines of quoted-printable have at most 76 characters", "S3", "RFC 2045 §6.7")
def quoted_printable_fits(mail: Mail) -> Iterator[str]:
    for part in mail.message.walk():
        if part.is_multipart() or str(part["Content-Transfer-Encoding"]).lower() != "quoted-printable":
            continue
        longest = max(map(len, str(part.get_payload()).splitlines()), default=0)
        if longest > _LONGEST_QUOTED_PRINTABLE:
            yield f"a line of {part.get_content_type()} has {longest}"


@of_mail.rule("header fields are ASCII; encoded words have at most 75 characters", "S1", "RFC 2047 §2")
def headers_are_well_encoded(mail: Mail) -> Iterator[str]:
    for field in mail.fields:
        if not field.raw.isascii() and (mail.recipient or "").isascii():
            yield f"{field.name} holds letters outside ASCII"
        if any(len(word) > _LONGEST_ENCODED_WORD for word in _ENCODED_WORD.findall(field.raw)):
            yield f"{field.name} holds a longer encoded word"


@of_mail.rule(f"has exactly one each of {', '.join(_ONCE)}", "S1", "RFC 5322 §3.6")
def fields_stand_once(mail: Mail) -> Iterator[str]:
    for name in _ONCE:
        if (found := len(mail.named(name))) != 1:
            yield f"it has {found} of {name}"


@of_mail.rule("is to its reader alone", "S1", "RFC 5322 §3.6.3")
def to_one_reader(mail: Mail) -> Iterator[str]:
    if len(re.findall(r"@", mail.text_of("To"))) != 1:
        yield "To does not hold one address"
    elif mail.recipient is not None and mail.recipient not in mail.text_of("To"):
        yield "To is not the address that it is sent to"
    if mail.named("Cc") or mail.named("Bcc"):
        yield "it has copies"


@of_mail.rule("Date is the present", "S1", "RFC 5322 §3.6.1")
def date_is_now(mail: Mail) -> Iterator[str]:
    try:
        date = parsedate_to_datetime(mail.text_of("Date"))
    except ValueError:
        yield f"{mail.text_of('Date')!r} is no date"
        return
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    if not mail.arrived and abs(datetime.now(UTC) - date) > timedelta(minutes=5):
        yield f"{mail.text_of('Date')} is not now"


@of_mail.rule("Message-ID is under the sender's domain", "S1", "RFC 5322 §3.6.4")
def message_id_is_ours(mail: Mail) -> Iterator[str]:
    found = re.fullmatch(rf"<{_DOT_ATOM}@([^<>@\s]+)>", mail.text_of("Message-ID"))
    if found is None:
        yield f"{mail.text_of('Message-ID')!r} is no Message-ID"
    elif found[1].lower() != mail.from_domain:
        if mail.arrived:
            raise NotShown(f"the relay gave it one of its own, under {found[1]}")
        yield f"it is under {found[1]}, the sender under {mail.from_domain}"


@of_mail.rule("List-Id is one identifier in angle brackets", "S1", "RFC 2919 §3")
def list_id_is_well_formed(mail: Mail) -> Iterator[str]:
    for field in mail.named("List-Id"):
        if not re.search(r"<[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+>$", field.text) or b"=?" in field.raw:
            yield f"it is {field.text!r}"


@of_mail.rule("Auto-Submitted says auto-generated, so that nobody's absence note answers", "", "RFC 3834 §5")
def auto_submitted(mail: Mail) -> Iterator[str]:
    if [field.text for field in mail.named("Auto-Submitted")] != ["auto-generated"]:
        yield f"it says {mail.text_of('Auto-Submitted')!r}"


@of_mail.rule("a confirmation says Form-Sub: a form caused it", "A1", "draft-levine-mailbomb-header")
def form_sub(mail: Mail) -> Iterator[str]:
    if mail.door("confirm") is None:
        raise NotShown("it is no confirmation")
    if mail.text_of("Form-Sub") != "v=1":
        yield f"it says {mail.text_of('Form-Sub')!r}"


@of_mail.rule("is multipart/alternative, plain text before HTML", "S3", "RFC 2046 §5.1.4")
def plain_comes_first(mail: Mail) -> Iterator[str]:
    kinds = [part.get_content_type() for part in mail.message.walk()]
    if kinds != ["multipart/alternative", "text/plain", "text/html"]:
        yield f"it is {', '.join(kinds)}"


@of_mail.rule("the confirm link stands alone on its line in the plain text", "D8")
def confirm_link_stands_alone(mail: Mail) -> Iterator[str]:
    link = mail.door("confirm")
    if link is None:
        raise NotShown("it is no confirmation")
    if link not in (mail.part("plain") or "").splitlines():
        yield "something stands beside it"


@of_mail.rule("tokens are of URL-safe characters and end in a letter or digit", "D8", "RFC 3986 §2.3")
def tokens_are_safe(mail: Mail) -> Iterator[str]:
    for door, token in _tokens(mail):
        if not re.fullmatch(r"[A-Za-z0-9_.~-]*[A-Za-z0-9_-]", token):
            yield f"the token of {door} is not"


@of_mail.rule("tokens hold nothing of the address", "D4")
def tokens_tell_nothing(mail: Mail) -> Iterator[str]:
    address = re.search(r"[^\s<>]+@[^\s<>]+", mail.text_of("To"))
    if address is None:
        raise NotShown("it is to nobody")
    local = address[0].partition("@")[0].lower().encode()
    for door, token in _tokens(mail):
        shown = [token.lower().encode(), *(_decoded(piece).lower() for piece in token.split("."))]
        if len(local) > 3 and any(local in piece or local.hex().encode() in piece for piece in shown):
            yield f"the token of {door} holds it"


@of_mail.rule("tokens carry a signature of at least 128 bits", "U7")
def tokens_are_hard_to_forge(mail: Mail) -> Iterator[str]:
    for door, token in _tokens(mail):
        bits = 8 * len(_decoded(token.rpartition(".")[2]))
        if bits < 8 * _LEAST_SIGNATURE:
            yield f"that of {door} has {bits}"


def _tokens(mail: Mail) -> list[tuple[str, str]]:
    urls = [("unsubscribe", mail.unsubscribe_url), ("confirm", mail.door("confirm"))]
    ours = f"{mail.expected.base_url}/"
    return [(door, _token(url)) for door, url in urls if url is not None and url.startswith(ours)]


def _token(url: str) -> str:
    """What stands after the door in a link of ours: https://host/door/token."""
    return [*urlsplit(url).path.split("/"), "", ""][2]


def _decoded(piece: str) -> bytes:
    try:
        return urlsafe_b64decode(piece + "=" * (-len(piece) % 4))
    except (Base64Error, ValueError):
        return b""
