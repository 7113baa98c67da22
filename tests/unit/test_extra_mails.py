"""Reminders and welcomes: what may be set, and what a publisher's plain text becomes in a mail."""

from __future__ import annotations

import pytest

from newsletter.domain.extra_mails import (
    LONGEST_WELCOME,
    ExtraMailError,
    check_welcome,
    parse_hours,
    shown_hours,
)
from newsletter.mail.plain_words import marked_up, wrapped


@pytest.mark.parametrize(
    ("typed", "hours"),
    [("2d", 48), ("36h", 36), (" 1 Day ", 24), ("30d", 720), ("1h", 1), ("off", None), ("", None)],
)
def test_a_time_is_read_and_shown_as_it_is_typed(typed: str, hours: int | None) -> None:
    assert parse_hours(typed) == hours
    if hours is not None:
        assert parse_hours(shown_hours(hours)) == hours


@pytest.mark.parametrize("typed", ["0d", "31d", "721h", "2", "2w", "-1d", "1.5d", "٢d", "soon", "99999h"])
def test_a_time_that_cannot_be_is_refused_in_one_line(typed: str) -> None:
    with pytest.raises(ExtraMailError) as raised:
        parse_hours(typed)
    assert "\n" not in str(raised.value)


def test_a_welcome_keeps_its_lines_and_an_empty_one_is_none() -> None:
    assert check_welcome("\r\nHello  \r\n\r\nthere\n") == "Hello\n\nthere"
    assert check_welcome(" \n\t\n") is None


@pytest.mark.parametrize("typed", ["a\0b", "a\x1bb", "a\u2028b", "a\ud800b", "x" * (LONGEST_WELCOME + 1)])
def test_a_welcome_that_is_no_plain_text_is_refused(typed: str) -> None:
    with pytest.raises(ExtraMailError):
        check_welcome(typed)


def test_markup_in_a_welcome_stays_text() -> None:
    html = marked_up('<b>Hi</b> & "you"\n<script>x</script>\n\nhttps://a.example/?a=1&b=<i>')

    assert "<b>" not in html
    assert "<script>" not in html
    assert "<i>" not in html
    assert html.count("<p ") == 2
    assert html.count("<br>") == 1
    assert 'href="https://a.example/?a=1&amp;b="' in html


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("See https://a.example/x.", "https://a.example/x"),
        ("(https://a.example/x)", "https://a.example/x"),
        ("https://a.example/x_(y)", "https://a.example/x_(y)"),
        ("«https://a.example/?q=a,b»!", "https://a.example/?q=a,b"),
        ("http://a.example", "http://a.example"),
    ],
)
def test_a_web_address_becomes_a_link_without_what_follows_it(text: str, url: str) -> None:
    html = marked_up(text)

    assert html.count("<a ") == 1
    assert f'href="{url}"' in html


@pytest.mark.parametrize(
    "text", ["javascript:alert(1)", "www.a.example", "ann@a.example", "https://", "ftp://a.example"]
)
def test_nothing_else_becomes_a_link(text: str) -> None:
    assert "<a " not in marked_up(text)


def test_wrapping_keeps_line_breaks_and_never_breaks_an_address() -> None:
    address = "https://a.example/" + "long-word/" * 12
    lines = wrapped(f"Dear reader, {'word ' * 30}\n\n- {address}").splitlines()

    assert max(len(line) for line in lines if address not in line) <= 68
    assert any(line.endswith(address) for line in lines)
    assert "" in lines
