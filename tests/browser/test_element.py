"""The custom element: it stays with the reader through mistakes, failures, the further step and the code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.support.embedding import Corner, Embedded
from tests.support.visitors import form_on, fresh_address, sign_up

FAILED = "That did not work. Please try again in a moment."


def listen(page: Page) -> None:
    """Keep what the element tells the page, to be read by `told`."""
    page.evaluate(
        """() => {
          window.told = [];
          for (const type of ["subscribed", "confirmed", "error"]) {
            document.querySelector("newsletter-signup").addEventListener(
              type, ({ detail }) => window.told.push([type, detail.list ?? detail.status]));
          }
        }"""
    )


def told(page: Page) -> Any:
    return page.evaluate("window.told")


def test_a_mistake_is_shown_beside_the_field_which_keeps_its_input_and_gets_the_focus(
    embedded: Embedded, visit: Callable[..., Page]
) -> None:
    page = visit(embedded.newspaper)
    form = form_on(page, "element")
    listen(page)

    sign_up(form, "ann@")

    field = form.get_by_role("textbox", name="Your email address")
    expect(field).to_be_focused()
    expect(field).to_have_value("ann@")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("Something is missing after the @ sign.")
    expect(form.get_by_role("button", name="Sign up")).to_be_enabled()
    assert told(page) == [["error", 422]]


def test_a_reader_whose_network_failed_tries_again_with_what_was_typed(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(embedded.newspaper)
    form = form_on(page, "element")
    expect(form.get_by_role("button", name="Sign up")).to_be_visible()
    listen(page)

    page.context.set_offline(True)
    sign_up(form, email)
    expect(form.get_by_role("alert")).to_have_text(FAILED)
    expect(form.get_by_role("textbox")).to_have_value(email)
    page.context.set_offline(False)
    form.get_by_role("button", name="Sign up").click()

    expect(form.get_by_role("heading", name="Check your inbox")).to_be_focused()
    assert told(page) == [["error", 0], ["subscribed", "daily"]]
    assert embedded.state_of(email) == "pending"


def test_the_code_of_the_mail_confirms_without_leaving_the_page(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(embedded.newspaper)
    form = form_on(page, "element")
    listen(page)
    sign_up(form, email)
    code = form.get_by_role("textbox", name="six-digit code")
    right = embedded.code_for(email)

    code.fill("12345")
    form.get_by_role("button", name="Confirm").click()
    expect(code).to_be_focused()
    expect(code).to_have_accessible_description(
        "That code isn’t right, or no longer good. Please check it, or press the button in the email."
    )
    code.fill(right)
    form.get_by_role("button", name="Confirm").click()

    expect(form.get_by_role("heading", name="You’re in")).to_be_focused()
    assert page.url == f"{embedded.newspaper}/"
    assert told(page) == [["subscribed", "daily"], ["error", 422], ["confirmed", "daily"]]
    assert embedded.state_of(email) == "confirmed"


def test_a_reader_who_mistyped_goes_back_to_the_form(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(embedded.newspaper)
    form = form_on(page, "element")
    sign_up(form, f"x{email}")

    form.get_by_role("button", name="Use another address").click()
    expect(form.get_by_role("textbox")).to_have_value(f"x{email}")
    expect(form.get_by_role("textbox")).to_be_focused()
    page.keyboard.type(email)
    page.keyboard.press("Enter")

    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()
    assert embedded.state_of(email) == "pending"


def test_check_your_inbox_stays_whatever_the_host_changes_until_the_form_is_wanted_again(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(embedded.newspaper)
    form = form_on(page, "element")
    sign_up(form, email)
    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()

    page.evaluate("document.querySelector('newsletter-signup').setAttribute('button', 'Get it')")
    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()
    form.get_by_role("button", name="Use another address").click()

    expect(form.get_by_role("button", name="Get it")).to_be_visible()
    expect(form.get_by_role("textbox", name="Your email address")).to_have_value(email)


def test_over_the_limit_the_element_takes_the_further_step_by_itself(
    strict: Embedded, crowded: str, visit: Callable[..., Page], email: str
) -> None:
    page = visit(strict.newspaper, network=crowded)
    form = form_on(page, "element")
    statuses: list[int] = []
    page.on(
        "response",
        lambda response: statuses.append(response.status) if response.request.method == "POST" else None,
    )

    sign_up(form, email)

    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()
    assert statuses == [429, 202]
    assert strict.state_of(email) == "pending"


def test_where_the_script_is_blocked_the_plain_form_inside_the_element_works(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit()
    page.route("**/embed.js", lambda route: route.abort())
    page.goto(embedded.newspaper)

    sign_up(form_on(page, "form"), email)

    expect(page.get_by_role("heading", name="Check your inbox")).to_be_visible()
    assert page.url.startswith(embedded.url)
    assert embedded.state_of(email) == "pending"


def test_where_the_service_cannot_be_asked_the_plain_form_stays(
    embedded: Embedded, visit: Callable[..., Page]
) -> None:
    page = visit()
    page.route("**/lists/daily/form", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        page.goto(embedded.newspaper)

    expect(form_on(page, "form").get_by_role("button", name="Sign up")).to_be_visible()
    assert page.locator("newsletter-signup [part=form]").count() == 0


def test_the_host_gives_it_looks_words_and_markup_of_its_own(
    embedded: Embedded, visit: Callable[..., Page], elsewhere: Corner, email: str
) -> None:
    page = visit(
        elsewhere.put(
            "<style>newsletter-signup { --newsletter-accent: rgb(10, 80, 40); --newsletter-radius: 9px }"
            "newsletter-signup::part(input) { border-color: rgb(200, 0, 100) }</style>"
            '<newsletter-signup list="daily" ask-name button="Join" placeholder="you@example.org" fine-print="">'
            '<p slot="invitation">Our <b>own</b> words</p><p slot="success" hidden>Thanks a lot!</p>'
            f'</newsletter-signup><script type="module" src="{embedded.url}/embed.js"></script>'
        )
    )
    form = form_on(page, "element")
    button = form.get_by_role("button", name="Join")

    expect(button).to_have_css("background-color", "rgb(10, 80, 40)")
    expect(button).to_have_css("border-radius", "9px")
    expect(form.get_by_role("textbox", name="Your email address")).to_have_css(
        "border-top-color", "rgb(200, 0, 100)"
    )
    expect(page.get_by_text("Our own words")).to_be_visible()
    assert form.locator("[part=fine-print]").count() == 0
    form.get_by_role("textbox", name="Your name").fill("Ann")
    form.get_by_role("textbox", name="Your email address").fill(email)
    button.click()
    expect(page.get_by_text("Thanks a lot!")).to_be_visible()
    assert embedded.state_of(email) == "pending"


def test_it_may_be_taken_out_and_put_back_with_what_was_typed(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(embedded.newspaper)
    form = form_on(page, "element")
    form.get_by_role("textbox").fill(email)

    page.evaluate(
        "() => { const one = document.querySelector('newsletter-signup'); const at = one.parentNode;"
        " one.remove(); at.append(one); }"
    )

    expect(form.get_by_role("textbox")).to_have_value(email)
    form.get_by_role("button", name="Sign up").click()
    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()


def test_what_was_begun_before_the_script_came_stays_with_the_cursor(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit()
    held: list[Route] = []
    page.route("**/lists/daily/form", lambda route: held.append(route))  # noqa: PLW0108 - looks at its signature
    with page.expect_request("**/lists/daily/form"):
        page.goto(embedded.newspaper)
    form_on(page, "form").get_by_role("textbox").press_sequentially(email[:8])

    held[0].continue_()
    form = form_on(page, "element")
    expect(form.get_by_role("textbox")).to_be_focused()
    page.keyboard.type(email[8:])
    page.keyboard.press("Enter")

    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()
    assert embedded.state_of(email) == "pending"


def test_a_host_that_changes_the_list_while_a_form_is_on_its_way_is_told_of_the_one_it_was_for(
    embedded: Embedded, visit: Callable[..., Page], elsewhere: Corner, email: str
) -> None:
    embedded.service.command("lists", "add", "later", "--name", "Later", "--site", elsewhere.origin)
    script = f'<script type="module" src="{embedded.url}/embed.js"></script>'
    page = visit(elsewhere.put(f'<newsletter-signup list="daily" code></newsletter-signup>{script}'))
    form = form_on(page, "element")
    listen(page)
    held: list[Route] = []
    page.route("**/lists/daily/subscriptions", lambda route: held.append(route))  # noqa: PLW0108 - looks at its signature

    with page.expect_request("**/lists/daily/subscriptions"):
        sign_up(form, email)
    page.evaluate("document.querySelector('newsletter-signup').setAttribute('list', 'later')")
    with page.expect_response("**/lists/later/form"):
        held[0].continue_()

    action = f"{embedded.url}/lists/later/subscriptions"
    expect(form.locator("form")).to_have_attribute("action", action)
    assert told(page) == [["subscribed", "daily"]]
    assert embedded.state_of(email) == "pending"


def test_a_code_that_is_on_its_way_holds_up_no_other_sign_up(
    embedded: Embedded, visit: Callable[..., Page], elsewhere: Corner, email: str
) -> None:
    script = f'<script type="module" src="{embedded.url}/embed.js"></script>'
    page = visit(elsewhere.put(f'<newsletter-signup list="daily" code></newsletter-signup>{script}'))
    form = form_on(page, "element")
    sign_up(form, email)
    form.get_by_role("textbox", name="six-digit code").fill(embedded.code_for(email))
    held: list[Route] = []
    page.route("**/code", lambda route: held.append(route))  # noqa: PLW0108 - looks at its signature
    with page.expect_request("**/code"):
        form.get_by_role("button", name="Confirm").click()
    another = fresh_address()

    form.get_by_role("button", name="another address").click()
    with page.expect_response("**/lists/daily/subscriptions"):
        sign_up(form, another)
    expect(form.get_by_text(another)).to_be_visible()

    assert embedded.state_of(another) == "pending"
    held[0].continue_()
    expect(form.get_by_role("heading", name="You’re in")).to_be_visible()
    assert embedded.state_of(email) == "confirmed"


def test_check_your_inbox_stays_where_the_host_moves_it(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(embedded.newspaper)
    form = form_on(page, "element")
    sign_up(form, email)
    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.evaluate(
        "() => { const one = document.querySelector('newsletter-signup');"
        " one.setAttribute('button', 'Get it'); document.body.append(one); }"
    )

    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()
    form.get_by_role("button", name="Use another address").click()
    expect(form.get_by_role("button", name="Get it")).to_be_visible()
    assert [url.rpartition("/")[2] for url in asked] == ["form"]


def test_what_was_typed_into_the_plain_form_stays_when_the_service_is_back(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(embedded.newspaper)
    form = form_on(page, "element")
    expect(form.get_by_role("button", name="Sign up")).to_be_visible()
    page.route("**/lists/daily/form?locale=fr", lambda route: route.abort())
    page.evaluate("document.querySelector('newsletter-signup').setAttribute('locale', 'fr')")
    page.locator("newsletter-signup > form").get_by_role("textbox").fill(email)

    page.evaluate("document.querySelector('newsletter-signup').setAttribute('locale', 'de')")

    expect(form.get_by_role("button", name="Anmelden")).to_be_visible()
    expect(form.get_by_role("textbox")).to_have_value(email)
