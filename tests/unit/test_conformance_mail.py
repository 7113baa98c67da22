"""The rules of a mail find what is wrong with it, and name the right rule."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import format_datetime

import pytest

from newsletter.conformance.checking import check_mail
from newsletter.conformance.mail import Expected, Mail
from newsletter.conformance.mail_rules import of_mail
from newsletter.conformance.rules import CannotCheck, Result, Verdict
from newsletter.conformance.signature_rules import of_signature
from tests.support.service import now

LEAVE = b"https://news.example/unsubscribe/QUJD.c2lnbmF0dXJlLW9mLTMyLWJ5dGVzLW9yLW1vcmU"
CONFIRM = b"https://news.example/confirm/QUJD1.c2lnbmF0dXJlLW9mLTMyLWJ5dGVzLW9yLW1vcmU"
MAIL = b"""\
List-Id: <daily.news.example>
List-Unsubscribe: <%(leave)s>
From: Daily News <news@news.example>
To: somebody@example.org
Subject: Please confirm
Date: NOW
Message-ID: <1@news.example>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Auto-Submitted: auto-generated
Form-Sub: v=1
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="b"

--b
Content-Type: text/plain; charset="utf-8"

Open this link:

%(confirm)s

%(leave)s
--b
Content-Type: text/html; charset="utf-8"

<a href="%(confirm)s">Confirm</a> <a href="%(leave)s">No</a>
--b--
""" % {b"leave": LEAVE, b"confirm": CONFIRM}
SIGNATURE = b"DKIM-Signature: v=1; a=rsa-sha256; d=news.example; s=a;\n\th=From:To:Subject:Date:\n\t "
ALL = SIGNATURE + b"List-Unsubscribe:List-Unsubscribe-Post:List-Id:Auto-Submitted; bh=x; b=y\n"
CONTENT = b"Authentication-Results: mx.example.com; dkim=pass; spf=pass; dmarc=pass\n"
EXPECTED = Expected("https://news.example", on_loopback=False)


def _sent(content: bytes, *, base: Expected = EXPECTED) -> Mail:
    return Mail(_dated(content).replace(b"\n", b"\r\n"), base, "somebody@example.org")


def _saved(content: bytes) -> Mail:
    return Mail.saved(_dated(content), EXPECTED)


def _dated(content: bytes) -> bytes:
    return content.replace(b": NOW", b": " + format_datetime(now()).encode())


def _failed(results: Iterable[Result]) -> set[str]:
    return {result.name for result in results if result.verdict is Verdict.FAILED}


def _faults(mail: Mail) -> set[str]:
    return _failed([*of_mail.judge({"": mail}), *of_signature.judge({"": mail})])


def test_a_good_mail_passes_every_rule() -> None:
    results = [*of_mail.judge({"": _sent(MAIL)}), *check_mail(_saved(CONTENT + ALL + MAIL))]

    assert _failed(results) == set()
    assert [
        result.name for result in results[: len(of_mail.rules)] if result.verdict is Verdict.NOT_SHOWN
    ] == []


BROKEN = {
    "two headers": (b"From: D", b"List-Unsubscribe: <https://a.example>\nFrom: D", {"one-list-unsubscribe"}),
    "no header": (
        b"List-Unsubscribe: <%s>\n" % LEAVE,
        b"",
        {"one-list-unsubscribe"},
    ),
    "no Post header": (
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\n",
        b"",
        {"one-list-unsubscribe-post"},
    ),
    "another Post header": (b"=One-Click", b"=one-click", {"one-list-unsubscribe-post"}),
    "mailto first": (
        b"Unsubscribe: <https",
        b"Unsubscribe: <mailto:a@news.example>, <https",
        {"one-web-address"},
    ),
    "two web addresses": (
        b"\nFrom: D",
        b",\n <https://b.example/>\nFrom: D",
        {"one-web-address"},
    ),
    "folded": (b"<https://news.example/unsubscribe/", b"<https://news.example/\n unsubscribe/", {"list-unsubscribe-is-whole"}),
    "encoded": (
        b"List-Unsubscribe: <%s>" % LEAVE,
        b"List-Unsubscribe: =?utf-8?q?=3C" + LEAVE[:20] + b"?=\n =?utf-8?q?" + LEAVE[20:] + b"=3E?=",
        {"list-unsubscribe-is-whole", "one-web-address"},
    ),
    "without brackets": (
        b"List-Unsubscribe: <%s>" % LEAVE,
        b"List-Unsubscribe: %s" % LEAVE,
        {"list-unsubscribe-is-whole", "one-web-address"},
    ),
    "http": (b"https://news.example/unsubscribe", b"http://news.example/unsubscribe", {"unsubscribe-is-https", "unsubscribe-is-ours"}),
    "tracked links": (b"https://news.example/unsubscribe", b"https://click.example/x?u=", {"unsubscribe-is-ours"}),
    "a long line": (b"Open this", b"x" * 999, {"lines-fit"}),
    "a bare line end": (b"Open this", b"Open\rthis", {"lines-end-well"}),
    "long quoted-printable": (
        b'"utf-8"\n\nOpen',
        b'"utf-8"\nContent-Transfer-Encoding: quoted-printable\n\n' + b"x" * 77 + b"\nOpen",
        {"quoted-printable-fits"},
    ),
    "raw UTF-8 in a header": (b"Please confirm", "Bestätigen".encode(), {"headers-are-well-encoded"}),
    "a long encoded word": (
        b"Please confirm",
        b"=?utf-8?q?" + b"x" * 70 + b"?=",
        {"headers-are-well-encoded"},
    ),
    "two subjects": (b"Subject: ", b"Subject: Hello\nSubject: ", {"fields-stand-once"}),
    "no date": (b"Date: ", b"X-Date: ", {"fields-stand-once", "date-is-now"}),
    "an old date": (b"Date: ", b"Date: Mon, 02 Jan 2006 15:04:05 +0000\nX-Date: ", {"date-is-now"}),
    "two recipients": (b"To: some", b"To: other@example.org, some", {"to-one-reader"}),
    "another's Message-ID": (b"<1@news.example>", b"<1@relay.example>", {"message-id-is-ours"}),
    "a List-Id without brackets": (b"<daily.news.example>", b"daily.news.example", {"list-id-is-well-formed"}),
    "no Auto-Submitted": (b"Auto-Submitted", b"X-Auto", {"auto-submitted"}),
    "no Form-Sub": (b"Form-Sub", b"X-Form", {"form-sub"}),
    "HTML first": (b"text/plain", b"text/html", {"plain-comes-first"}),
    "words beside the link": (b"\nhttps://news.example/confirm", b"\nOpen https://news.example/confirm", {"confirm-link-stands-alone"}),
    "a token that ends in a dot": (LEAVE, LEAVE + b".", {"tokens-are-safe", "tokens-are-hard-to-forge"}),
    "an address in the token": (b"/unsubscribe/QUJD", b"/unsubscribe/c29tZWJvZHk", {"tokens-tell-nothing"}),
    "a short signature": (b"c2lnbmF0dXJlLW9mLTMyLWJ5dGVzLW9yLW1vcmU", b"c2lnbg", {"tokens-are-hard-to-forge"}),
    "a signature without the link": (b"List-Id", SIGNATURE + b"List-Id:Auto-Submitted; b=y\nList-Id", {"covers-one-click"}),
    "a signature without Post": (
        b"List-Id",
        SIGNATURE + b"List-Unsubscribe:List-Id:Auto-Submitted; b=y\nList-Id",
        {"covers-one-click"},
    ),
    "a signature without Auto-Submitted": (
        b"List-Id",
        ALL.replace(b":Auto-Submitted", b"") + b"List-Id",
        {"covers-what-machines-read"},
    ),
    "a signature of another": (b"List-Id", ALL.replace(b"d=news", b"d=relay") + b"List-Id", {"is-aligned"}),
    "a signature of the beginning": (b"List-Id", ALL.replace(b"v=1;", b"v=1; l=9;") + b"List-Id", {"covers-the-body"}),
    "a receiver that found a fault": (
        b"List-Id",
        CONTENT.replace(b"dkim=pass", b"dkim=fail") + b"List-Id",
        {"receiver-is-content"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_wrong_with_a_mail_is_told_by_its_rule(broken: str) -> None:
    good, bad, rules = BROKEN[broken]
    assert good in MAIL

    # Where a part is to be changed, the last place of it is the body's.
    once = broken in ("two headers", "two web addresses", "a short signature") or good.startswith(b"List-Id")
    faults = _faults(_sent(MAIL.replace(good, bad, 1 if once else -1)))
    assert rules <= faults
    assert faults - rules <= {"fields-stand-once", "unsubscribe-is-ours"}


def test_a_mail_that_is_not_signed_is_the_relays_to_sign_until_it_has_arrived() -> None:
    waiting = list(of_signature.judge({"": _sent(MAIL)}))
    arrived = list(check_mail(_saved(MAIL)))

    assert {result.verdict for result in waiting} == {Verdict.NOT_SHOWN}
    assert all("relay signs" in note for result in waiting for note in result.notes)
    assert _failed(arrived) == {
        "passes", "covers-one-click", "covers-what-machines-read", "covers-what-is-read", "is-aligned",
        "covers-the-body",
    }  # fmt: skip


def test_one_signature_of_several_is_enough() -> None:
    relay = SIGNATURE.replace(b"d=news", b"d=relay") + b"List-Id; b=z\n"

    assert _failed(check_mail(_saved(CONTENT + relay + ALL + MAIL))) == set()


def test_a_mail_saved_from_a_mailbox_is_read_with_its_separator_and_line_ends() -> None:
    saved = b"From MAILER Wed Jan  1 00:00:00 2025\n" + CONTENT + ALL + MAIL

    assert _failed(check_mail(_saved(saved))) == set()
    assert _failed(check_mail(_saved(saved.replace(b"\n", b"\r\n")))) == set()


def test_on_this_machine_http_is_for_trying_out() -> None:
    local = Expected("http://127.0.0.1:8000", on_loopback=True)
    mail = _sent(MAIL.replace(b"https://news.example", b"http://127.0.0.1:8000"), base=local)

    assert _failed(of_mail.judge({"": mail})) == set()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff" * 1000,
        b"just a text\n",
        b"From: a@b\n" + b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(3000)),
    ],
    ids=["empty", "binary", "text", "nested 3,000 deep"],
)  # fmt: skip
def test_a_file_that_is_no_mail_of_ours_is_told_in_one_line(content: bytes) -> None:
    try:
        assert _failed(check_mail(_saved(content)))
    except CannotCheck as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "content",
    [
        b"From: =?\nTo: \xff\xfe <\nDate: 99\nList-Unsubscribe: <<>,,<\nDKIM-Signature: ;;=;h\nSubject: \n\n\n",
        b'From: a@b\nContent-Type: multipart/alternative; boundary="x\n\n--x\nContent-Type: text/plain; charset=nope\n',
        b"From: a@b\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n!!!\n",
        b"From: a@b\nContent-Type: message/rfc822\n\nContent-Type: text/html\n\n<a href='http://[::1'>x<",
    ],
    ids=["broken headers", "an unended boundary", "no base64", "a mail in a mail"],
)
def test_a_broken_mail_is_judged_all_the_same(content: bytes) -> None:
    assert "one-list-unsubscribe-post" in _failed(check_mail(_saved(content)))
