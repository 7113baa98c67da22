"""The form in an iframe: as tall as what it shows, deaf to forgeries, and complete with its code (E6, E9)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Frame, Page, expect

from tests.support.embedding import Corner, Embedded
from tests.support.service import eventually
from tests.support.visitors import DESKTOP, PHONE, form_on, sign_up

_HEIGHT = "Math.ceil(document.documentElement.getBoundingClientRect().height)"
# Sends a message to the page around, or to the page itself.
_SEND = "(data) => parent.postMessage(data, '*')"


def inside(page: Page) -> Frame:
    """The document in the frame."""
    element = page.locator("iframe").first.element_handle()
    frame = element.content_frame()
    assert frame is not None
    return frame


def fits(page: Page) -> int:
    """Wait until the frame is as tall as its content; gives that height."""
    frame = page.locator("iframe").first
    frame.scroll_into_view_if_needed()
    eventually(lambda: frame.get_attribute("height") == str(inside(page).evaluate(_HEIGHT)))
    height: int = inside(page).evaluate(_HEIGHT)
    return height


def test_the_frame_grows_and_shrinks_with_what_it_shows(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(f"{embedded.newspaper}/frame", size=DESKTOP)
    form = form_on(page, "frame")
    wide = fits(page)

    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    expect(page.locator("iframe")).not_to_have_attribute("height", str(wide))
    narrow = fits(page)
    sign_up(form, "ann@")
    expect(form.get_by_role("alert")).to_be_visible()
    with_mistake = fits(page)
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    expect(page.locator("iframe")).not_to_have_attribute("height", str(with_mistake))

    assert wide < narrow < with_mistake
    assert wide < fits(page) < with_mistake


def test_a_mistake_leads_back_to_the_field_with_its_input(
    embedded: Embedded, visit: Callable[..., Page]
) -> None:
    page = visit(f"{embedded.newspaper}/frame")
    form = form_on(page, "frame")

    sign_up(form, "ann@")

    field = form.get_by_role("textbox", name="Your email address")
    expect(field).to_be_focused()
    expect(field).to_have_value("ann@")
    expect(field).to_have_accessible_description("Something is missing after the @ sign.")


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_the_code_of_the_mail_confirms_inside_the_frame(
    embedded: Embedded, visit: Callable[..., Page], email: str, *, script: bool
) -> None:
    page = visit(f"{embedded.newspaper}/frame", script=script)
    form = form_on(page, "frame")
    sign_up(form, email)
    code = form.get_by_role("textbox", name="six-digit code")

    code.fill("123 45")
    form.get_by_role("button", name="Confirm").click()
    expect(form.get_by_role("alert")).to_contain_text("That code isn’t right")
    code.fill(embedded.code_for(email))
    form.get_by_role("button", name="Confirm").click()

    expect(form.get_by_role("heading", name="You’re in")).to_be_visible()
    assert page.url == f"{embedded.newspaper}/frame"
    assert embedded.state_of(email) == "confirmed"


def test_the_page_around_is_told_what_has_happened(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(f"{embedded.newspaper}/frame")
    page.evaluate(
        """() => {
          window.told = [];
          for (const type of ["subscribed", "confirmed"]) {
            document.addEventListener(
              type, ({ target, detail }) => window.told.push([target.localName, type, detail.list]));
          }
        }"""
    )
    form = form_on(page, "frame")
    sign_up(form, email)
    form.get_by_role("textbox", name="six-digit code").fill(embedded.code_for(email))
    form.get_by_role("button", name="Confirm").click()
    expect(form.get_by_role("heading", name="You’re in")).to_be_visible()

    assert page.evaluate("window.told") == [
        ["iframe", "subscribed", "daily"],
        ["iframe", "confirmed", "daily"],
    ]


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_over_the_limit_the_further_step_is_taken_inside_the_frame(
    strict: Embedded, crowded: str, visit: Callable[..., Page], email: str, *, script: bool
) -> None:
    page = visit(f"{strict.newspaper}/frame", script=script, network=crowded)
    form = form_on(page, "frame")

    sign_up(form, email)
    if not script:
        form.get_by_role("button", name="Continue").press("Enter")

    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()
    assert page.url == f"{strict.newspaper}/frame"
    assert strict.state_of(email) == "pending"


FORGED: list[Any] = [
    None, 7, "height", [], {}, {"newsletter": "height"}, {"newsletter": "height", "height": "900"},
    {"newsletter": "height", "height": None}, {"newsletter": "height", "height": math.nan},
    {"newsletter": "height", "height": math.inf}, {"newsletter": "height", "height": [900]},
    {"newsletter": ["height"], "height": 900}, {"newsletter": "reload"}, {"height": 900},
]  # fmt: skip


def test_e9_messages_of_another_shape_change_nothing_even_from_the_frame_itself(
    embedded: Embedded, visit: Callable[..., Page]
) -> None:
    page = visit(f"{embedded.newspaper}/frame")
    height = fits(page)
    changes = _watch(page)

    for message in FORGED:
        _deliver(page, inside(page), message)

    assert changes() == []
    assert fits(page) == height


@pytest.mark.parametrize("height", [1e9, 5000, -1, 0])
def test_e9_no_height_is_out_of_all_proportion_and_a_false_one_does_not_last(
    embedded: Embedded, visit: Callable[..., Page], height: float
) -> None:
    page = visit(f"{embedded.newspaper}/frame")
    right = fits(page)
    changes = _watch(page)

    _deliver(page, inside(page), {"newsletter": "height", "height": height})

    assert fits(page) == right
    assert all(60 <= int(change) <= 4000 for change in changes())


def test_e9_what_the_page_itself_or_another_frame_says_changes_nothing(
    embedded: Embedded, visit: Callable[..., Page], elsewhere: Corner
) -> None:
    forger = elsewhere.put("").replace(elsewhere.origin, elsewhere.other_origin)
    frame = f'<iframe src="{embedded.url}/embed/daily" width="100%" height="320"></iframe>'
    script = f'<script type="module" src="{embedded.url}/embed.js"></script>'
    page = visit(elsewhere.put(f'{frame}<iframe src="{forger}"></iframe><iframe></iframe>{script}'))
    height = fits(page)
    changes = _watch(page)
    same_origin, other_origin = (
        next(found for found in page.frames[1:] if found.url == url) for url in ("about:blank", forger)
    )

    for sender in (page.main_frame, same_origin, other_origin):
        for message in ({"newsletter": "height", "height": 900}, {"newsletter": "subscribed"}):
            _deliver(page, sender, message)

    assert changes() == []
    assert fits(page) == height


def test_e9_a_frame_that_went_elsewhere_is_no_longer_heard(
    embedded: Embedded, visit: Callable[..., Page], elsewhere: Corner
) -> None:
    forger = elsewhere.put("").replace(elsewhere.origin, elsewhere.other_origin)
    frame = f'<iframe src="{embedded.url}/embed/daily" width="100%" height="320"></iframe>'
    script = f'<script type="module" src="{embedded.url}/embed.js"></script>'
    page = visit(elsewhere.put(frame + script))
    fits(page)
    # Its `src` still names us, and it is the same window.
    inside(page).evaluate("(to) => { location.href = to }", forger)
    inside(page).wait_for_url(forger)
    changes = _watch(page)

    _deliver(page, inside(page), {"newsletter": "height", "height": 900})
    _deliver(page, inside(page), {"newsletter": "subscribed"})

    assert changes() == []


def _watch(page: Page) -> Callable[[], list[str]]:
    """What becomes of the frame from here on: other heights that it gets, events that it fires. It may be told the
    one that it has again at any time."""
    page.evaluate(
        """() => {
          const frame = document.querySelector("iframe");
          window.changes = [];
          let height = frame.getAttribute("height");
          new MutationObserver(() => {
            if (frame.getAttribute("height") === height) return;
            window.changes.push(height = frame.getAttribute("height"));
          }).observe(frame, { attributes: true });
          for (const type of ["subscribed", "confirmed"]) {
            document.addEventListener(type, () => window.changes.push(type));
          }
          window.heard = [];
          addEventListener("message", () => window.heard.shift()?.());
        }"""
    )
    return lambda: page.evaluate("window.changes")


def _deliver(page: Page, sender: Frame, message: Any) -> None:
    """Post a message to the page and wait until its listeners have heard it; that of embed.js is the oldest."""
    page.evaluate("window.delivered = new Promise((done) => window.heard.push(done)), null")
    sender.evaluate(_SEND, message)
    page.evaluate("window.delivered")
