"""What Chromium fills in, and what people paste: either gets through, by every embed, with script and without."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.embedding import Corner, Embedded
from tests.support.service import eventually
from tests.support.visitors import PAGES, form_on, fresh_address, sign_up

OURS = {"front": "/", "list": "/lists/daily", "what the frame shows": "/embed/daily"}
PERSON = {
    "NAME_FULL": "Ann Reader", "COMPANY_NAME": "Example Ltd", "ADDRESS_HOME_STREET_ADDRESS": "1 Main Road",
    "ADDRESS_HOME_CITY": "Springfield", "ADDRESS_HOME_STATE": "Illinois", "ADDRESS_HOME_ZIP": "62701",
    "ADDRESS_HOME_COUNTRY": "US", "PHONE_HOME_WHOLE_NUMBER": "+12175550100",
}  # fmt: skip
_FIND = """() => {
    const element = document.querySelector("newsletter-signup");
    return (element?.shadowRoot ?? document).querySelector("form [name=email]");
}"""
_FILLED = """(field) => Object.fromEntries([...field.form.elements].filter(({ type }) => type === "text" || type === "email")
    .map(({ name, value }) => [name, value]))"""


def fill_in(page: Page, email: str) -> dict[str, str]:
    """Let the browser fill the form with everything it knows of a person; what stands in each field then."""
    field = page.wait_for_function(_FIND).as_element()
    assert field is not None
    field.click()
    session = page.context.new_cdp_session(page)
    session.send("Runtime.enable")
    handle = session.send("Runtime.evaluate", {"expression": f"({_FIND})()"})["result"]["objectId"]
    node = session.send("DOM.describeNode", {"objectId": handle})["node"]["backendNodeId"]
    person = PERSON | {"EMAIL_ADDRESS": email}
    address = {"fields": [{"name": name, "value": value} for name, value in person.items()]}
    session.send("Autofill.enable")
    session.send("Autofill.trigger", {"fieldId": node, "address": address})
    page.wait_for_function("([field, email]) => field.value === email", arg=[field, email])
    filled: dict[str, str] = field.evaluate(_FILLED)
    return filled


def test_the_browser_fills_what_it_knows_even_where_nobody_sees_it(
    elsewhere: Corner, visit: Callable[..., Page]
) -> None:
    """So the test below can fail."""
    url = elsewhere.put(
        "<form><label>Email <input name=email type=email></label><label>Name <input name=name></label>"
        '<div style="position:absolute;clip-path:inset(50%)" aria-hidden=true><label>Company '
        "<input name=company tabindex=-1 autocomplete=off></label></div></form>"
    )
    page = visit(url)

    assert fill_in(page, "ann@example.org")["company"] == "Example Ltd"


@pytest.mark.parametrize("where", ["element", "form", *OURS])
def test_a4_a_form_filler_leaves_the_trap_alone(
    embedded: Embedded, visit: Callable[..., Page], email: str, where: str
) -> None:
    page = visit(embedded.url + OURS[where] if where in OURS else embedded.newspaper + PAGES[where])
    if where == "element":
        form_on(page, "element").get_by_role("button", name="Sign up").wait_for()

    filled = fill_in(page, email)

    assert filled.pop("email") == email
    assert filled.pop("leave_empty", "") == ""
    assert filled.pop("name", "Ann Reader") == "Ann Reader"
    assert filled == {}


PASTED = ("\u200bmailto:%s?subject=x\ufeff", "Ann <%s>,")


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("embed", PAGES)
def test_what_people_paste_gets_through(
    embedded: Embedded, visit: Callable[..., Page], embed: str, script: bool
) -> None:
    """The browser's own check of the field would refuse it before we see it, so no form of ours asks for it."""
    page = visit(script=script)
    for pasted in PASTED:
        email = fresh_address()
        page.goto(embedded.newspaper + PAGES[embed])
        form = form_on(page, embed if script or embed == "frame" else "form")
        sign_up(form, pasted % email)

        where = page if embed != "frame" else form
        expect(where.get_by_text(re.compile("Check your inbox|Thank you")).first).to_be_visible()
        assert embedded.state_of(email) == "pending"


def test_what_stands_inside_is_refused_by_its_name_beside_the_field(
    embedded: Embedded, visit: Callable[..., Page]
) -> None:
    page = visit(f"{embedded.newspaper}/form")

    sign_up(form_on(page, "form"), "ann@example,org")

    field = page.get_by_role("textbox", name="Your email address")
    expect(field).to_have_accessible_description("There is a comma after “ann@example”. Should it be a dot?")


def test_d11_the_newspaper_is_named_after_a_mistake_and_on_every_embed(
    embedded: Embedded, visit: Callable[..., Page]
) -> None:
    """As a real browser names pages: of another site, it tells the origin alone."""
    for embed in PAGES:
        email = fresh_address()
        page = visit(embedded.newspaper + PAGES[embed])
        form = form_on(page, embed)
        sign_up(form, "ann")
        form = form if embed != "form" else page.locator("form")
        field = form.get_by_role("textbox", name="Your email address")
        expect(field).to_have_attribute("aria-invalid", "true")
        field.fill(email)
        form.get_by_role("button", name="Sign up").click()
        eventually(lambda email=email: embedded.state_of(email))  # type: ignore[misc]

        (page_of_consent,) = embedded.service.rows(
            "SELECT e.page FROM consent_events e JOIN subscriptions s ON s.id = e.subscription_id "
            "JOIN subscribers p ON p.id = s.subscriber_id WHERE p.address = :email",
            email=email,
        )
        assert tuple(page_of_consent) == (f"{embedded.newspaper}/",)
        assert embedded.way(email) == (embed, embedded.newspaper)
