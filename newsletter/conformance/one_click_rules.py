"""The rules of leaving: what mail systems and people do to unsubscribe somebody."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from newsletter.conformance import clients
from newsletter.conformance.asking import Reply
from newsletter.conformance.clients import Press
from newsletter.conformance.place import Place, Reader, press
from newsletter.conformance.rules import Rules

one_click: Rules[Place] = Rules("Leaving")

_AT_ONCE = 50
_GONE = "unsubscribed"
_WEBMAIL = "https://mail.example.com"


@one_click.rule("Gmail's POST unsubscribes", "U3", "RFC 8058 §3.2", in_public=True)
def gmail(place: Place) -> Iterator[str]:
    yield from _leaves(place, clients.GMAIL)


@one_click.rule("Yahoo's POST unsubscribes", "U3", "RFC 8058 §3.2", in_public=True)
def yahoo(place: Place) -> Iterator[str]:
    yield from _leaves(place, clients.YAHOO)


@one_click.rule("a multipart POST unsubscribes", "U3", "RFC 8058 §3.2", in_public=True)
def multipart(place: Place) -> Iterator[str]:
    yield from _leaves(place, clients.multipart())


@one_click.rule("a POST sent in chunks unsubscribes", "U3", "RFC 9112 §7.1", in_public=True)
def chunked(place: Place) -> Iterator[str]:
    yield from _leaves(place, clients.CHUNKED)


@one_click.rule("a POST unsubscribes whatever its body", "U3", "RFC 8058 §3.2", in_public=True)
def any_body(place: Place) -> Iterator[str]:
    for name, how in clients.ODD.items():
        for fault in _leaves(place, how):
            yield f"{name}: {fault}"


@one_click.rule(
    "a POST without cookie, Referer, Origin or User-Agent unsubscribes", "U3", "RFC 8058 §3.2", in_public=True
)
def without_context(place: Place) -> Iterator[str]:
    yield from _leaves(place, Press(clients.ONE_CLICK, {"Content-Type": clients.FORM}))


@one_click.rule(
    "Outlook, Apple Mail, Thunderbird: the button on the page unsubscribes", "U10", in_public=True
)
def by_the_page(place: Place) -> Iterator[str]:
    reader = place.reader()
    yield from _wrong_answer(place.asker.ask("GET", reader.leave))
    yield from _left(place, reader, press(place, reader.leave, clients.BROWSER))


@one_click.rule("a trailing slash is no redirect", "U4", "RFC 8058 §3.1", in_public=True)
def trailing_slash(place: Place) -> Iterator[str]:
    reader = place.reader()
    yield from _left(place, reader, press(place, f"{reader.leave}/", clients.GMAIL))


@one_click.rule("a doubled slash is no redirect, and no false success", "U4", "RFC 8058 §3.1", in_public=True)
def doubled_slash(place: Place) -> Iterator[str]:
    for before in ("/{}", "//{}"):
        reader = place.reader()
        door, _, token = reader.leave.strip("/").partition("/")
        target = f"/{reader.leave}" if before == "/{}" else f"/{door}//{token}"
        reply = press(place, target, clients.GMAIL)
        yield from _redirects(reply)
        if reply.status == 200:
            yield from _left(place, reader, reply)
        elif reply.status >= 500:
            yield f"it is answered {reply.status}"


@one_click.rule("http behind a proxy is no redirect", "U4", "RFC 8058 §3.1", in_public=True)
def http_behind_a_proxy(place: Place) -> Iterator[str]:
    reader = place.reader()
    forwarded = {
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "elsewhere.example",
        "X-Forwarded-For": "192.0.2.1",
    }
    how = Press(clients.GMAIL.body, clients.GMAIL.headers | forwarded)
    yield from _left(place, reader, press(place, reader.leave, how))


@one_click.rule("leaving again and again is answered the same", "U6")
def again(place: Place) -> Iterator[str]:
    reader = place.reader()
    first = press(place, reader.leave, clients.GMAIL)
    for _ in range(3):
        reply = press(place, reader.leave, clients.GMAIL)
        yield from _left(place, reader, reply)
        if reply.body != first.body:
            yield "the answer differs"
    yield from _left_once(place, reader)


@one_click.rule(f"{_AT_ONCE} at once are all answered, and leave once", "U6", in_public=True)
def at_once(place: Place) -> Iterator[str]:
    reader = place.reader()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        replies = list(pool.map(lambda _: press(place, reader.leave, clients.GMAIL), range(_AT_ONCE)))
    for reply in replies:
        yield from _left(place, reader, reply)
    yield from _left_once(place, reader)


@one_click.rule("a damaged token is refused with the form that sends a link", "U7 U9", in_public=True)
def damaged_token(place: Place) -> Iterator[str]:
    reader = place.reader()
    start = reader.leave.rindex("/") + 1
    before = place.state(reader)
    positions = sorted({start, start + 10, reader.leave.rindex(".") + 1, len(reader.leave) - 1})
    targets = [_flipped(reader.leave, position) for position in positions]
    targets += [reader.leave[:-1], reader.leave[:start] + reader.leave[start:].upper()]
    for target in targets:
        for reply in (press(place, target, clients.GMAIL), place.asker.ask("GET", target)):
            yield from _redirects(reply)
            if reply.status != 404:
                yield f"it is answered {reply.status}, not 404"
            elif 'action="/unsubscribe"' not in reply.text:
                yield "the form that sends a link is missing"
    if place.state(reader) != before:
        yield "it unsubscribed somebody"


@one_click.rule("a token opens one door only", "D1")
def one_door_only(place: Place) -> Iterator[str]:
    reader = place.reader()
    before = place.state(reader)
    confirm, leave = (path.rpartition("/")[2] for path in (reader.confirm, reader.leave))
    for target in (f"/unsubscribe/{confirm}", f"/confirm/{leave}"):
        reply = press(place, target, clients.GMAIL)
        if reply.status != 404:
            yield f"it is answered {reply.status}, not 404"
    if place.state(reader) != before:
        yield "the state of the subscription changed"


@one_click.rule("the link of somebody who was erased is answered as ever", "U9", in_public=True)
def erased(place: Place) -> Iterator[str]:
    reader = place.nobody()
    for reply in (press(place, reader.leave, clients.GMAIL), place.asker.ask("GET", reader.leave)):
        yield from _wrong_answer(reply)


@one_click.rule(
    "a webmail's script may read the answer, without credentials",
    "U17",
    "Fetch, CORS protocol",
    in_public=True,
)
def cross_origin(place: Place) -> Iterator[str]:
    reader = place.reader()
    how = Press(
        clients.ONE_CLICK, {"Content-Type": clients.FORM, "Origin": _WEBMAIL, "Sec-Fetch-Mode": "cors"}
    )
    reply = press(place, reader.leave, how)
    yield from _left(place, reader, reply)
    yield from _shared(reply)


@one_click.rule(
    "its preflight is answered, and changes nothing", "U17", "Fetch, CORS preflight", in_public=True
)
def preflight(place: Place) -> Iterator[str]:
    reader = place.reader()
    before = place.state(reader)
    headers = {
        "Origin": _WEBMAIL,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    reply = place.asker.ask("OPTIONS", reader.leave, headers=headers)
    yield from _redirects(reply)
    if reply.status not in (200, 204):
        yield f"it is answered {reply.status}"
    yield from _shared(reply)
    if place.state(reader) != before:
        yield "it changed the subscription"


def _leaves(place: Place, how: Press) -> Iterator[str]:
    reader = place.reader()
    yield from _left(place, reader, press(place, reader.leave, how))


def _left(place: Place, reader: Reader, reply: Reply) -> Iterator[str]:
    """What is wrong with the answer to one who left, and whether they have left."""
    yield from _wrong_answer(reply)
    state = place.state(reader)
    if state is None:
        # Seen from outside: only the service itself adds this, and only to a POST.
        if reply.status == 200 and reply.header("Access-Control-Allow-Origin") != "*":
            yield "the answer is not this service's own: something in front of it answers, or drops headers"
    elif state != _GONE:
        yield f"the subscription is still {state}"


def _left_once(place: Place, reader: Reader) -> Iterator[str]:
    departures = place.departures(reader)
    if departures not in (None, 1):
        yield f"it is noted {departures} times"


def _wrong_answer(reply: Reply) -> Iterator[str]:
    yield from _redirects(reply)
    if not 300 <= reply.status < 400 and reply.status != 200:
        yield f"it is answered {reply.status}, not 200"
    if reply.header("Set-Cookie") is not None:
        yield "it is answered with a cookie"


def _redirects(reply: Reply) -> Iterator[str]:
    if 300 <= reply.status < 400:
        yield f"it is answered {reply.status}, a redirect to {reply.header('Location')}"
    elif reply.header("Location") is not None or reply.header("Refresh") is not None:
        yield f"it is answered {reply.status} with a redirect in its header"


def _shared(reply: Reply) -> Iterator[str]:
    if reply.header("Access-Control-Allow-Origin") != "*":
        yield f"Access-Control-Allow-Origin is {reply.header('Access-Control-Allow-Origin')}, not *"
    if reply.header("Access-Control-Allow-Credentials") is not None:
        yield "it allows credentials"


def _flipped(target: str, position: int) -> str:
    other = "A" if target[position] != "A" else "B"
    return target[:position] + other + target[position + 1 :]
