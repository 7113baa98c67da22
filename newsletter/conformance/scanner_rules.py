"""The rules of looking: what scanners, previews and prefetching browsers do with links nobody pressed."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

from newsletter.conformance import clients
from newsletter.conformance.asking import Reply
from newsletter.conformance.mail import hrefs
from newsletter.conformance.place import Place, Reader, press
from newsletter.conformance.rules import Rules

scanning: Rules[Place] = Rules("Looking")

_OFTEN = 10
_UNKNOWN_METHODS = ("PUT", "PATCH", "DELETE", "PROPFIND")


@scanning.rule(
    "scanners' GET and HEAD of the unsubscribe link change nothing", "U5", "RFC 9110 §9.2.1", in_public=True
)
def scanned_unsubscribe(place: Place) -> Iterator[str]:
    reader = place.reader()
    yield from _scanned(place, reader, reader.leave)


@scanning.rule("scanners' GET and HEAD of the confirm link change nothing", "D7", "RFC 9110 §9.2.1")
def scanned_confirm(place: Place) -> Iterator[str]:
    reader = place.reader()
    yield from _scanned(place, reader, reader.confirm)


@scanning.rule("prefetching and previews change nothing", "U5", "RFC 9110 §9.2.1", in_public=True)
def prefetched(place: Place) -> Iterator[str]:
    reader = place.reader()
    for target in _doors(place, reader):
        for name, headers in clients.PREFETCHES.items():
            yield from _looked(place, reader, place.asker.ask("GET", target, headers=headers), name)


@scanning.rule("OPTIONS and unknown methods change nothing", "U5", "RFC 9110 §9.2.1", in_public=True)
def other_methods(place: Place) -> Iterator[str]:
    reader = place.reader()
    for target in _doors(place, reader):
        yield from _looked(place, reader, place.asker.ask("OPTIONS", target), "OPTIONS")
        for method in _UNKNOWN_METHODS:
            reply = place.asker.ask(method, target, body=clients.ONE_CLICK)
            if not 400 <= reply.status < 500 and reply.status != 501:
                yield f"{method} is answered {reply.status}"
            yield from _moved(place, reader, method)


@scanning.rule(
    "a GET that names another method, or carries the body in its query, changes nothing", "U5", in_public=True
)
def disguised(place: Place) -> Iterator[str]:
    reader = place.reader()
    for target in _doors(place, reader):
        for name, headers in clients.OVERRIDES.items():
            yield from _looked(place, reader, place.asker.ask("GET", target, headers=headers), name)
        query = f"{target}?{clients.ONE_CLICK.decode()}&_method=POST"
        yield from _looked(place, reader, place.asker.ask("GET", query), "a query")


@scanning.rule("following every link of the page changes nothing", "U5 D7")
def followed(place: Place) -> Iterator[str]:
    reader = place.reader()
    for target in (reader.leave, reader.confirm):
        page = place.asker.ask("GET", target)
        for href in hrefs(page.text):
            link = urlsplit(urljoin(f"http://here{target}", href))
            if link.netloc == "here":
                place.asker.ask("GET", link.path + (f"?{link.query}" if link.query else ""))
                yield from _moved(place, reader, f"GET {link.path}")


@scanning.rule("what mail programs glue to a link is answered kindly, and truly", "D8", in_public=True)
def glued(place: Place) -> Iterator[str]:
    for name, tail in clients.GLUED.items():
        reader = place.reader()
        for target in _doors(place, reader):
            reply = place.asker.ask("GET", target + tail)
            if reply.status not in (200, 404, 410) or not reply.is_page:
                yield f"{name}: a page is answered {reply.status}"
            yield from _moved(place, reader, name)
        reply = press(place, reader.leave + tail, clients.GMAIL)
        if reply.status not in (200, 404):
            yield f"{name}: one click is answered {reply.status}"
        if reply.status == 200 and place.state(reader) not in (None, "unsubscribed"):
            yield f"{name}: it says unsubscribed, and the subscription is {place.state(reader)}"


@scanning.rule(
    "a token with its characters escaped is the same token", "D8", "RFC 3986 §6.2.2", in_public=True
)
def escaped(place: Place) -> Iterator[str]:
    reader = place.reader()
    door, _, token = reader.leave.rpartition("/")
    spelled = "".join(f"%{ord(c):02x}" if c in ".-_" else c for c in token)
    for target in (f"{door}/{spelled}", f"{door}/{_upper(spelled)}"):
        yield from _looked(place, reader, place.asker.ask("GET", target), "an escaped token")


@scanning.rule("pages of links are not stored and not indexed", "U5", "RFC 9111 §5.2.2.5", in_public=True)
def not_kept(place: Place) -> Iterator[str]:
    reader = place.reader()
    for target in _doors(place, reader):
        reply = place.asker.ask("GET", target)
        if "no-store" not in (reply.header("Cache-Control") or ""):
            yield f"Cache-Control is {reply.header('Cache-Control')}"
        if "noindex" not in (reply.header("X-Robots-Tag") or ""):
            yield f"X-Robots-Tag is {reply.header('X-Robots-Tag')}"


def _doors(place: Place, reader: Reader) -> tuple[str, ...]:
    """The links to look at; in public, only that which answers for nobody."""
    return (reader.leave,) if place.state(reader) is None else (reader.leave, reader.confirm)


def _scanned(place: Place, reader: Reader, target: str) -> Iterator[str]:
    for name, headers in clients.SCANNERS.items():
        for method in ("HEAD", "GET"):
            reply = place.asker.ask(method, target, headers=headers)
            yield from _looked(place, reader, reply, f"{name}, {method}")
    for _ in range(_OFTEN):
        place.asker.ask("GET", target)
    yield from _moved(place, reader, f"{_OFTEN} times GET")


def _looked(place: Place, reader: Reader, reply: Reply, name: str) -> Iterator[str]:
    if reply.status not in (200, 204):
        yield f"{name} is answered {reply.status}"
    if reply.header("Set-Cookie") is not None:
        yield f"{name} is answered with a cookie"
    yield from _moved(place, reader, name)


def _moved(place: Place, reader: Reader, name: str) -> Iterator[str]:
    state = place.state(reader)
    if state not in (None, "pending"):
        yield f"{name} made the subscription {state}"


def _upper(token: str) -> str:
    """The token with its escapes in capital letters."""
    pieces = token.split("%")
    return pieces[0] + "".join(f"%{piece[:2].upper()}{piece[2:]}" for piece in pieces[1:])
