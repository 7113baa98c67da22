"""The rules of what people see behind a link, and of the way in and out as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from newsletter.conformance import clients
from newsletter.conformance.asking import Reply
from newsletter.conformance.place import Place, Reader, press
from newsletter.conformance.rules import Rules

pages: Rules[Place] = Rules("The pages")

_BUTTON = clients.BROWSER
# Attributes by which a page loads something, or sends somebody somewhere.
_LOADS = frozenset({"src", "srcset", "action", "formaction", "data", "poster", "background"})


@pages.rule("the pressed button confirms, and confirming twice is fine", "D5 D7")
def confirms(place: Place) -> Iterator[str]:
    reader = place.reader()
    for _ in range(2):
        reply = press(place, reader.confirm, _BUTTON)
        if reply.status != 200:
            yield f"it is answered {reply.status}"
    if place.state(reader) != "confirmed":
        yield f"the subscription is {place.state(reader)}"


@pages.rule("a confirm link from before an unsubscribe brings nobody back", "D6")
def stays_away(place: Place) -> Iterator[str]:
    reader = place.reader()
    press(place, reader.confirm, _BUTTON)
    press(place, reader.leave, clients.GMAIL)
    reply = press(place, reader.confirm, _BUTTON)
    if reply.status == 200:
        yield "it is answered as if it had"
    if place.state(reader) != "unsubscribed":
        yield f"the subscription is {place.state(reader)}"


@pages.rule("the unsubscribe page has one button, and asks for nothing", "U10")
def one_button(place: Place) -> Iterator[str]:
    page = _Page.of(place.asker.ask("GET", place.reader().leave))
    if len(page.buttons) != 1:
        yield f"it has {len(page.buttons)} buttons"
    if page.fields:
        yield f"it asks for {', '.join(page.fields)}"
    if page.methods != ["post"]:
        yield "it has not one form that is sent by POST"


@pages.rule("the unsubscribe page shows the address masked", "U10")
def masked(place: Place) -> Iterator[str]:
    reader = place.reader()
    text = place.asker.ask("GET", reader.leave).text
    if reader.address in text or reader.address.partition("@")[0] in text:
        yield "it shows the whole address"
    if reader.address.rpartition("@")[2] not in text:
        yield "it does not show which address is meant"


@pages.rule("no page sends its form by itself", "U5 D7")
def nothing_sends_itself(place: Place) -> Iterator[str]:
    for door, reply in _both(place, place.reader()):
        page = _Page.of(reply)
        if page.scripts:
            yield f"the page of {door} holds a script"
        if page.refreshes:
            yield f"the page of {door} holds a refresh"


@pages.rule("the pages' headers keep tokens and frames out of others' hands", "U15 E6")
def guarded(place: Place) -> Iterator[str]:
    for door, reply in _both(place, place.reader()):
        policy = reply.header("Content-Security-Policy") or ""
        for wanted in ("default-src 'none'", "frame-ancestors 'none'"):
            if wanted not in policy:
                yield f"the policy of {door} does not say {wanted}"
        if "unsafe" in policy or "*" in policy:
            yield f"the policy of {door} lets anything in"
        if reply.header("Referrer-Policy") not in ("same-origin", "no-referrer"):
            yield f"Referrer-Policy of {door} is {reply.header('Referrer-Policy')}"
        if reply.header("X-Content-Type-Options") != "nosniff":
            yield f"X-Content-Type-Options of {door} is {reply.header('X-Content-Type-Options')}"


@pages.rule("the pages load nothing from elsewhere", "U15")
def loads_nothing(place: Place) -> Iterator[str]:
    for door, reply in _both(place, place.reader()):
        for address in _Page.of(reply).loads:
            if re.match(r"(?:[a-z][a-z0-9+.-]*:)?//", address.strip(), re.IGNORECASE):
                yield f"the page of {door} loads {address[:80]}"


def _both(place: Place, reader: Reader) -> list[tuple[str, Reply]]:
    return [
        ("unsubscribe", place.asker.ask("GET", reader.leave)),
        ("confirm", place.asker.ask("GET", reader.confirm)),
    ]


class _Page(HTMLParser):
    """What a page holds that matters here."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons: list[str] = []
        self.fields: list[str] = []
        self.methods: list[str] = []
        self.loads: list[str] = []
        self.scripts = False
        self.refreshes = False

    @classmethod
    def of(cls, reply: Reply) -> _Page:
        page = cls()
        page.feed(reply.text)
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        kind = values.get("type", "").lower()
        if tag == "button" or (tag == "input" and kind in ("submit", "image", "button")):
            self.buttons.append(tag)
        elif tag in ("input", "select", "textarea") and kind != "hidden":
            self.fields.append(values.get("name", tag))
        if tag == "form":
            self.methods.append(values.get("method", "get").lower())
        self.loads += [value for name, value in values.items() if name in _LOADS]
        if tag == "link":
            self.loads.append(values.get("href", ""))
        self.scripts |= tag == "script" or any(name.startswith("on") for name in values)
        self.scripts |= any(value.strip().lower().startswith("javascript:") for value in values.values())
        self.refreshes |= tag == "meta" and values.get("http-equiv", "").lower() == "refresh"
