"""Each embed on a newspaper of another origin and site, whose policy allows nothing inline: it takes a sign-up
at every width, without script, by keyboard alone, and without a cookie (checklist E1, E3, E7)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.embedding import Corner, Embedded
from tests.support.service import eventually
from tests.support.visitors import DESKTOP, PAGES, PATIENCE, PHONE, form_on, sign_up

AFTERWARDS = {
    "element": "Check your inbox",
    "frame": "Check your inbox",
    "form": "Thank you. One thing is left to do.",
}
# The field or the button that has the focus, also of a shadow tree; nothing where it is in another frame.
_FOCUSED = """() => {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return document.hasFocus() ? at?.name || at?.textContent.trim() || "" : "";
}"""


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("embed", PAGES)
def test_e7_a_reader_of_another_site_signs_up_there(
    embedded: Embedded, visit: Callable[..., Page], email: str, embed: str, size: tuple[int, int]
) -> None:
    page = visit(embedded.newspaper + PAGES[embed], size=size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]

    form = form_on(page, embed)
    sign_up(form, email)

    where = page if embed == "form" else form
    expect(where.get_by_role("heading", name=AFTERWARDS[embed])).to_be_visible()
    assert page.url == embedded.newspaper + ("/thanks" if embed == "form" else PAGES[embed])
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert embedded.state_of(email) == "pending"
    assert embedded.way(email) == (embed, embedded.newspaper)
    assert embedded.mail_to(email).link("confirm").startswith(embedded.url)


@pytest.mark.parametrize("embed", PAGES)
def test_e3_without_script_each_embed_takes_a_sign_up(
    embedded: Embedded, visit: Callable[..., Page], email: str, embed: str
) -> None:
    page = visit(embedded.newspaper + PAGES[embed], script=False)

    sign_up(form_on(page, "form" if embed == "element" else embed), email)

    where = form_on(page, embed) if embed == "frame" else page
    expect(where.get_by_role("heading", name=AFTERWARDS[embed])).to_be_visible()
    assert embedded.state_of(email) == "pending"


@pytest.mark.parametrize("embed", PAGES)
def test_a_reader_needs_no_more_than_a_keyboard_and_never_meets_the_trap(
    embedded: Embedded, visit: Callable[..., Page], email: str, embed: str
) -> None:
    page = visit(embedded.newspaper + PAGES[embed])
    form = form_on(page, embed)
    expect(form.get_by_role("button", name="Sign up")).to_be_visible()

    met = _press_until(page, "Tab", "email")
    page.keyboard.type(email)
    met += _press_until(page, "Tab", "Sign up")
    assert met[-2:] == ["email", "Sign up"]
    met += _press_until(page, "Tab", "frame")  # the last link of the page
    met += _press_until(page, "Shift+Tab", "Sign up")
    assert "leave_empty" not in met
    page.keyboard.press("Enter")

    where = page if embed == "form" else form
    expect(where.get_by_role("heading", name=AFTERWARDS[embed])).to_be_visible()
    assert embedded.state_of(email) == "pending"


@pytest.mark.parametrize("embed", ["element", "frame"])
def test_the_code_is_entered_by_keyboard_alone(
    embedded: Embedded, visit: Callable[..., Page], email: str, embed: str
) -> None:
    page = visit(embedded.newspaper + PAGES[embed])
    form = form_on(page, embed)
    sign_up(form, email)
    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()

    _press_until(page, "Tab", "code")
    page.keyboard.type(embedded.code_for(email))
    page.keyboard.press("Enter")

    expect(form.get_by_role("heading", name="You’re in")).to_be_visible()
    assert embedded.state_of(email) == "confirmed"


def _press_until(page: Page, key: str, wanted: str) -> list[str]:
    """What had the focus on the way there, in whatever frame; the wanted one comes last."""
    met: list[str] = []
    while wanted not in met:
        assert len(met) < 40, met
        before = _focused(page)
        page.keyboard.press(key)
        # On its way into a frame, or out of one, it is nowhere for a moment. Two in a row may be called the same.
        with contextlib.suppress(AssertionError):
            eventually(lambda before=before: _focused(page) not in ("", before), seconds=2)  # type: ignore[misc]
        met.append(_focused(page))
    return met


def _focused(page: Page) -> str:
    return "".join(frame.evaluate(_FOCUSED) for frame in page.frames)


def test_these_browsers_keep_no_cookie_of_a_third_party(browser: Browser, elsewhere: Corner) -> None:
    """Or these tests would say nothing of browsers that block them."""
    cookie = elsewhere.put("", Set_Cookie="a=1; SameSite=None; Secure").replace(
        elsewhere.origin, elsewhere.other_origin
    )
    around = elsewhere.put(f'<iframe src="{cookie}"></iframe>')
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()

    page.goto(around, wait_until="networkidle")
    as_third_party = context.cookies()
    page.goto(cookie)

    assert as_third_party == []
    assert [kept["name"] for kept in context.cookies()] == ["a"]
    context.close()
