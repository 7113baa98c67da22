"""Right to left: each embed in Arabic, on a page that is written from left to right."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, expect

from tests.support.embedding import Corner, Embedded
from tests.support.visitors import PHONE, form_on

EMAIL, BUTTON = "input[name=email]", "form button"


def _reads_from_right_to_left(form: Locator | FrameLocator) -> None:
    field, button = form.locator(EMAIL), form.locator(BUTTON)
    expect(field).to_have_attribute("dir", "ltr")  # an address is written so everywhere
    first, second = field.bounding_box(), button.bounding_box()
    assert first is not None
    assert second is not None
    assert second["x"] < first["x"]  # the button stands after the field


def test_the_element(embedded: Embedded, visit: Callable[..., Page]) -> None:
    page = visit(embedded.newspaper)
    page.evaluate("document.querySelector('newsletter-signup').setAttribute('locale', 'ar')")

    form = page.locator("newsletter-signup [part=box]")

    expect(form).to_have_attribute("dir", "rtl")
    expect(form).to_have_attribute("lang", "ar")
    _reads_from_right_to_left(form)


def test_the_frame(embedded: Embedded, visit: Callable[..., Page], elsewhere: Corner) -> None:
    frame = f'<iframe src="{embedded.url}/embed/daily?locale=ar" width="600" height="320"></iframe>'
    page = visit(elsewhere.put(frame))

    form = form_on(page, "frame")

    expect(form.locator("html")).to_have_attribute("dir", "rtl")
    _reads_from_right_to_left(form)


@pytest.mark.parametrize("path", ["/lists/daily", "/lists/daily/embed", "/embed/daily"])
def test_nothing_sticks_out_at_the_sides_of_a_phone(
    embedded: Embedded, visit: Callable[..., Page], path: str
) -> None:
    page = visit(f"{embedded.url}{path}?locale=ar", size=PHONE)

    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
