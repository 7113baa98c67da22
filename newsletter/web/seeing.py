"""What a request shows of who sent it: cut to what evidence needs, and safe to store."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import replace
from urllib.parse import urlsplit

from flask import Request

from newsletter.parts import parts
from newsletter.services.evidence import Seen

_TOKEN = re.compile(r"^(/(?:confirm|unsubscribe|operator/welcome|manage|new-address|not-me))/.*")

# A part of a path that holds an address, and what servers without cookies append to one.
_PERSONAL = re.compile(r"(?<=/)[^/]*[^/@](?:@|%40)[^/]*|;[^/]*", re.IGNORECASE)

_PORT = re.compile(r"^(?:\[(.*)\](?::\d+)?|([0-9.]+):\d+)$")


def seen(request: Request, way: str) -> Seen:
    """The evidence that a request leaves (checklist D11)."""
    return Seen(
        way=way,
        origin=origin(request),
        page=page(request),
        network=network(request.remote_addr),
        agent=_line(request.headers.get("User-Agent"), 300),
    )


def page(request: Request) -> str | None:
    """The page with the form, without its query and whatever else in its address may be about the visitor: a
    user name, a session's id, an email address; and without the token of a link of ours, which is as good as
    a password. Else its origin."""
    for header in ("Referer", "Origin"):
        value = _line(request.headers.get(header), 2000)
        if value is None:
            continue
        try:
            split = urlsplit(value)
        except ValueError:
            continue
        if split.scheme in ("http", "https") and split.hostname:
            path = _PERSONAL.sub("", _TOKEN.sub(r"\1", split.path))
            return f"{split.scheme}://{split.netloc.rpartition('@')[2]}{path}"[:500]
    return None


def carried(evidence: Seen, token: str | None, slug: str) -> Seen:
    """The evidence of a form that comes from a page of ours, with the page and site on which its visitor
    began, where the form brings them along, signed."""
    if evidence.origin not in (parts().settings.base_url, None):
        return evidence
    began = parts().forms.read_page(token, slug)
    return evidence if began is None else replace(evidence, origin=began[0], page=began[1])


def page_token(evidence: Seen, slug: str) -> str:
    """What the next form of ours brings along, so that its evidence names the page of this one."""
    return parts().forms.page(slug, evidence.origin, evidence.page)


def around(request: Request) -> Seen | None:
    """The page that shows a frame of ours, as its browser names it; None where it names none or ourselves."""
    named = page(request)
    if named is None or urlsplit(named).netloc == request.host:
        return None
    return Seen("frame", origin=_origin_of(named), page=named)


def origin(request: Request) -> str | None:
    """The site that a form was sent from, as its browser names it; None where it does not (E4)."""
    named = _line(request.headers.get("Origin"), 300)
    if named is None:
        named = page(request)
    return _origin_of(named)


def _origin_of(url: str | None) -> str | None:
    try:
        split = urlsplit(url or "")
    except ValueError:
        return None
    if split.scheme not in ("http", "https") or not split.hostname:
        return None
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}"[:300]


def wider_network(address: str | None) -> str | None:
    """The IPv6 /48 around an address: what one customer of a provider may be given (A2)."""
    parsed = _parsed(address)
    if parsed is None or parsed.version == 4 or parsed.ipv4_mapped is not None:
        return None
    return str(ipaddress.ip_network((parsed, 48), strict=False))


def network(address: str | None) -> str | None:
    """What limits and evidence count as one visitor's network: an IPv4 address, or an IPv6 /64 (A2)."""
    parsed = _parsed(address)
    if parsed is None:
        return None
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _parsed(address: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that is named; some proxies name the port, too."""
    named = _PORT.sub(r"\1\2", address or "").partition("%")[0]
    try:
        return ipaddress.ip_address(named)
    except ValueError:
        return None


def _line(value: str | None, longest: int) -> str | None:
    """A header's value as one storable line."""
    if value is None:
        return None
    # Headers come as Latin-1; what is meant is nearly always UTF-8.
    text = value.encode("latin-1", "replace").decode("utf-8", "replace")
    return "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs"))[:longest] or None
