"""Visitors with a real browser: each has a profile of their own, and what their browsers complain of is kept."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    FrameLocator,
    Locator,
    Page,
)  # fmt: skip

PHONE, DESKTOP = (390, 844), (1280, 800)
PATIENCE = 90_000  # milliseconds: a busy machine is slow, not wrong
# Says aloud what the policy of a page forbade; in frames, too.
_TELL_VIOLATIONS = """addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI}) =>
    console.error(`The policy forbade ${violatedDirective} ${blockedURI}`))"""
# What a browser notes of an answer that a test asked for, and of a field in a frame that it does not focus by
# itself: frame.js does.
_USUAL = ("Failed to load resource", "Blocked autofocusing")
_numbers = itertools.count(1)


@dataclass
class Visits:
    """Makes visitors, each with a browser profile of their own, and keeps what their browsers complain of."""

    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __call__(
        self,
        url: str | None = None,
        *,
        size: tuple[int, int] = DESKTOP,
        script: bool = True,
        network: str | None = None,
        **more: Any,
    ) -> Page:
        """Somebody who opens `url`, from `network` where one is named and the service trusts a proxy."""
        width, height = size
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, java_script_enabled=script, **more
        )
        context.set_default_timeout(PATIENCE)
        context.add_init_script(_TELL_VIOLATIONS)
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        if network is not None:
            # As a proxy does it. A header of the browser's own would be asked about before each request.
            context.route(
                "**/*",
                lambda route: route.continue_(headers=route.request.headers | {"X-Forwarded-For": network}),
            )
        self.contexts.append(context)
        page = context.new_page()
        if url is not None:
            page.goto(url)
        return page

    def tell_frames(self) -> None:
        """Print what stands in each frame: a failed test's report shows it, and Playwright's own does not."""
        for frame in (frame for context in self.contexts for page in context.pages for frame in page.frames):
            if frame.parent_frame is not None:
                with contextlib.suppress(Error):  # a frame may be gone by now
                    print(frame.url, frame.locator("body").inner_text(timeout=1000), sep="\n")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_USUAL):
            self.complaints.append(message.text)


def fresh_address() -> str:
    """An address that no other test uses."""
    return f"reader-{next(_numbers)}@example.org"


def fresh_network() -> str:
    """An IPv4 address that no other visitor comes from."""
    number = next(_numbers)
    return f"10.200.{number >> 8 & 255}.{number & 255}"


# Where the newspaper shows each embed.
PAGES = {"element": "/", "frame": "/frame", "form": "/form"}


def form_on(page: Page, embed: str) -> Locator | FrameLocator:
    """The form of an embed; of the element, the one that its script has drawn."""
    if embed == "frame":
        return page.frame_locator("iframe")
    return page.locator("newsletter-signup [part=box]" if embed == "element" else "form")


def sign_up(form: Locator | FrameLocator, email: str) -> None:
    """What a person does with any of them."""
    form.get_by_role("textbox", name="Your email address").fill(email)
    form.get_by_role("button", name="Sign up").click()
