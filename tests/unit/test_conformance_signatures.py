"""The signatures of a mail that came back are verified for real, offline and by DNS, and whatever is wrong with
them is told in words."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import dkim
import dns.message
import dns.resolver
import dns.rrset
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from newsletter.conformance.checking import check_mail
from newsletter.conformance.mail import Mail
from newsletter.conformance.rules import CannotCheck, Result, Verdict
from newsletter.conformance.signature_rules import describe
from newsletter.conformance.signatures import NoAnswer, NoKey, find_in_dns, read_key, with_signatures
from tests.support.service import now
from tests.unit.test_conformance_mail import CONTENT, EXPECTED, MAIL, _dated

NAME = "s1._domainkey.news.example"
COVERED = b"From From To Subject Date List-Id List-Unsubscribe List-Unsubscribe-Post Auto-Submitted".split()
CRLF = _dated(CONTENT + MAIL).replace(b"\n", b"\r\n")


@cache
def _key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def _record(key: rsa.RSAPrivateKey) -> str:
    written = key.public_key().public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(written).decode()}"


def signed(
    bits: int = 2048, *, domain: bytes = b"news.example", covered: Any = COVERED, **more: Any
) -> bytes:
    """The mail as a relay sends it on."""
    pem = _key(bits).private_bytes(
        form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption()
    )
    relaxed = (b"relaxed", b"relaxed")
    return (
        bytes(dkim.sign(CRLF, b"s1", domain, pem, canonicalize=relaxed, include_headers=covered, **more))
        + CRLF
    )


RECORD = _record(_key(2048))


def _checked(raw: bytes, records: dict[str, str] | None = None, *, at: datetime | None = None) -> Mail:
    known = {NAME: RECORD} if records is None else records

    def find(name: str) -> str:
        if name not in known:
            raise NoKey(f"there is no record {name}")
        return known[name]

    return with_signatures(Mail.saved(raw, EXPECTED), find, at or now())


def _results(mail: Mail) -> dict[str, Result]:
    return {result.name: result for result in check_mail(mail)}


def _failed(mail: Mail) -> set[str]:
    return {name for name, result in _results(mail).items() if result.verdict is Verdict.FAILED}


def test_a_good_signature_passes_every_rule_and_says_what_it_seals() -> None:
    mail = _checked(signed())

    assert _failed(mail) == set()
    of_signature = [one for one in _results(mail).values() if one.section == "The signature"]
    assert {one.verdict for one in of_signature} == {Verdict.PASSED}
    said = "news.example, selector s1, rsa-sha256, 2,048 bits: passes; nobody can add from"
    assert describe(mail) == {"signature 1": said}


def test_a_mail_saved_with_the_line_ends_of_the_machine_passes_all_the_same() -> None:
    assert (
        _failed(_checked(b"From MAILER Tue Dec  1 00:00:00 2026\n" + signed().replace(b"\r\n", b"\n")))
        == set()
    )


def test_an_ed25519_signature_passes() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    raw, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    signature = dkim.sign(
        CRLF, b"s1", b"news.example", base64.b64encode(raw), canonicalize=(b"relaxed", b"relaxed"),
        signature_algorithm=b"ed25519-sha256", include_headers=COVERED,
    )  # fmt: skip
    record = f"v=DKIM1; k=ed25519; p={base64.b64encode(public).decode()}"

    assert _failed(_checked(signature + CRLF, {NAME: record})) == set()


_LINK = b"List-Unsubscribe: <https://news.example/"
WRONG: dict[str, tuple[bytes, dict[str, str] | None, set[str], str]] = {
    "another subject": (signed().replace(b"Please confirm", b"[ext] Please"), None, {"passes"}, "a header that it covers"),
    "a footer": (signed().replace(b"\r\n--b--", b"Sent by a relay\r\n--b--"), None, {"passes"}, "body was changed"),
    "a folded link": (signed().replace(_LINK, _LINK + b"\r\n "), None, {"passes", "list-unsubscribe-is-whole"}, "a header that it covers"),
    "a second From": (b"From: eve@example.org\r\n" + signed(), None, {"passes", "fields-stand-once", "is-aligned"}, "a header that it covers"),
    "another key": (signed(), {NAME: _record(_key(1024))}, {"passes", "has-a-strong-key"}, "another key"),
    "no key": (signed(), {}, {"passes"}, "there is no record s1._domainkey.news.example"),
    "a revoked key": (signed(), {NAME: "v=DKIM1; p="}, {"passes"}, "is revoked"),
    "no key at all": (signed(), {NAME: "v=DKIM1; p=!!!"}, {"passes"}, "cannot be read"),
    "a huge key": (signed(), {NAME: "v=DKIM1; p=" + "A" * 9000}, {"passes"}, "the key"),
    "a weak key": (signed(1024), {NAME: _record(_key(1024))}, {"has-a-strong-key"}, "1,024 bits"),
    "the beginning of the body": (signed(length=True), None, {"covers-the-body"}, "l="),
    "SHA-1": (signed().replace(b"rsa-sha256", b"rsa-sha1"), None, {"passes"}, "SHA-1"),
    "Post is not covered": (signed(covered=[one for one in COVERED if not one.endswith(b"Post")]), None, {"covers-one-click"}, "List-Unsubscribe-Post"),
    "another's signature": (signed(domain=b"relay.example"), {"s1._domainkey.relay.example": _record(_key(2048))}, {"is-aligned"}, "relay.example"),
    "broken tags": (b"DKIM-Signature: ;;=\xff; d=\x00; s=..; h\r\n" + CRLF, None, {"passes", "covers-one-click", "covers-what-machines-read", "covers-what-is-read", "is-aligned", "headers-are-well-encoded"}, "names no key"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_signature_is_told(wrong: str) -> None:
    raw, records, rules, words = WRONG[wrong]
    results = _results(mail := _checked(raw, records))

    assert {name for name, result in results.items() if result.verdict is Verdict.FAILED} == rules
    notes = [note for name in rules for note in results[name].notes]
    assert words in " ".join((*notes, *describe(mail).values()))


def test_a_signature_that_has_ended_is_told_with_its_end() -> None:
    ended = signed().replace(b"; s=s1;", b"; s=s1; x=%d;" % (now() + timedelta(days=1)).timestamp())
    mail = _checked(ended, at=now() + timedelta(days=2))

    assert "check a mail that has just arrived" in _results(mail)["passes"].notes[0]


def test_one_that_passes_is_enough_and_the_others_do_not_count() -> None:
    relay = signed(domain=b"relay.example", covered=[b"From", b"Subject"])[: -len(CRLF)]
    mail = _checked(relay + signed())

    assert _failed(mail) == set()
    assert "there is no record" in describe(mail)["signature 1"]


def test_where_dns_does_not_answer_the_signature_is_not_shown_and_no_fault() -> None:
    def silent(name: str) -> str:
        raise NoAnswer(f"DNS did not answer for {name}: give the key by --dkim-key {name} FILE")

    results = _results(with_signatures(Mail.saved(signed(), EXPECTED), silent, now()))

    assert results["passes"].verdict is Verdict.NOT_SHOWN
    assert NAME in results["passes"].notes[0]
    assert results["covers-one-click"].verdict is Verdict.PASSED


@pytest.mark.parametrize(
    "written",
    [
        "v=DKIM1; k=rsa; p=QUJD",
        's1._domainkey\tIN\tTXT\t( "v=DKIM1; k=rsa; "\n\t  "p=QU" "JD" )  ; ----- DKIM key s1 for news.example\n',
        '"v=DKIM1; k=rsa; p=QUJD"\n',
        "-----BEGIN PUBLIC KEY-----\nQUJD\n-----END PUBLIC KEY-----\n",
    ],
    ids=["as it is", "a zone", "dig", "PEM"],
)
def test_a_key_is_read_from_a_file_of_any_kind(written: str) -> None:
    assert "p=QUJD" in read_key(written)


@pytest.mark.parametrize("written", ["", "hello", "\0\xff", '"', "-----BEGIN PRIVATE KEY-----\nQUJD"])
def test_what_is_no_key_is_told(written: str) -> None:
    with pytest.raises(NoKey, match="it holds no DKIM key"):
        read_key(written)


@contextlib.contextmanager
def _name_server(*texts: str) -> Iterator[dns.resolver.Resolver]:
    """A server that answers each question with these records, or never where there are none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))

        def serve() -> None:
            packet, asker = bound.recvfrom(4096)
            answer = dns.message.make_response(question := dns.message.from_wire(packet))
            answer.answer.append(dns.rrset.from_text(question.question[0].name, 60, "IN", "TXT", *texts))
            bound.sendto(answer.to_wire(), asker)

        server = threading.Thread(target=serve, daemon=True)
        if texts:
            server.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], bound.getsockname()[1]
        yield resolver
        if texts:
            server.join(10)


def test_a_key_is_looked_up_in_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    with _name_server('"v=spf1 -all"', '"v=DKIM1; " "p=QUJD"') as resolver:
        assert find_in_dns(NAME, resolver) == "v=DKIM1; p=QUJD"
    with _name_server('"v=spf1 -all"') as resolver, pytest.raises(NoKey, match="is no key"):
        find_in_dns(NAME, resolver)
    with _name_server('"p=QQ"', '"p=UQ"') as resolver, pytest.raises(NoKey, match="has 2 records"):
        find_in_dns(NAME, resolver)
    monkeypatch.setattr("newsletter.conformance.signatures._TIMEOUT", 0.1)
    with _name_server() as resolver, pytest.raises(NoAnswer, match="--dkim-key"):
        find_in_dns(NAME, resolver)


@given(
    st.binary(max_size=300),
    st.text(max_size=200),
    st.sampled_from([b"b", b"bh", b"h", b"t", b"x", b"l", b"c", b"i"]),
)
def test_nothing_in_a_mail_or_in_dns_makes_the_check_fall_over(junk: bytes, record: str, tag: bytes) -> None:
    signature = signed()[: -len(CRLF)].rstrip(b"\r\n") + b"; " + tag + b"=" + junk + b"\r\n"

    for raw in (signature + CRLF, b"DKIM-Signature: " + junk + b"\r\n" + CRLF):
        for records in (None, {NAME: record}, {NAME: "p=" + base64.b64encode(junk).decode()}):
            with contextlib.suppress(CannotCheck):  # where a line end in it ends the headers
                mail = _checked(raw, records)
                assert _results(mail)
                assert all(line.isprintable() for line in describe(mail).values())


def test_a_mail_full_of_spaces_is_not_computed_with_for_hours() -> None:
    mail = _checked(signed() + b" " * 1_000_000)

    assert "1,000 spaces in a row" in _results(mail)["passes"].notes[0]


def test_a_mail_full_of_signatures_takes_no_longer_than_one_with_ten() -> None:
    asked: list[str] = []

    def find(name: str) -> str:
        asked.append(name)
        raise NoKey("none")

    with_signatures(
        Mail.saved(b"DKIM-Signature: a=rsa-sha256; d=a.example; s=b\r\n" * 5000 + CRLF, EXPECTED), find, now()
    )
    assert len(asked) == 10
