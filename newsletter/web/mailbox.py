"""The newcomer's mailbox: mail that no relay took, shown in the browser of this machine and nowhere else."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from flask import Blueprint, Response, abort, render_template, request, url_for

from newsletter.domain.languages import DEFAULT
from newsletter.parts import parts
from newsletter.web.languages import speak

mailbox = Blueprint("mailbox", __name__, url_prefix="/mailbox")

_KEY = re.compile(r"[0-9a-f]{32}\.newsletter")
_MOST = 100
# The mail's own page: its inline styles and nothing else; its links open in a new tab.
_MAIL_CSP = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; form-action 'none'; frame-ancestors 'self'"
)
_PAGE_CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Shown:
    """A mail, as the pages show it."""

    key: str
    subject: str
    sender: str
    to: str
    date: datetime | None
    text: str
    html: str
    html_url: str
    headers: tuple[tuple[str, str], ...]


@mailbox.before_request
def _only_this_machine() -> None:
    """Never on a public service: only without a relay, on a loopback BASE_URL, asked from this machine."""
    settings = parts().settings
    try:
        near = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        near = False
    if settings.smtp is not None or not settings.on_loopback or not near:
        abort(404)
    speak(DEFAULT)  # its pages are for whoever sets the service up, and in English only


@mailbox.get("/")
def index() -> Response:
    """The newest mails."""
    folder = parts().settings.mailbox_dir
    files = [
        path for part in ("new", "cur") for path in (folder / part).glob("*") if _KEY.fullmatch(path.name)
    ]
    files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return _page("mailbox/index.html", messages=[_read(path) for path in files[:_MOST]])


@mailbox.get("/<key>")
def show(key: str) -> Response:
    """One mail: its text, its headers, and a frame with its HTML."""
    return _page("mailbox/message.html", message=_read(_path(key)))


@mailbox.get("/<key>/html")
def show_html(key: str) -> Response:
    """The HTML part alone, sandboxed."""
    html = _read(_path(key)).html.replace("<head>", '<head><base target="_blank">', 1)
    return Response(
        html, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _MAIL_CSP}
    )


def _page(template: str, **context: object) -> Response:
    return Response(render_template(template, **context), headers={"Content-Security-Policy": _PAGE_CSP})


def _path(key: str) -> Path:
    if not _KEY.fullmatch(key):
        abort(404)
    found = [path for part in ("new", "cur") if (path := parts().settings.mailbox_dir / part / key).is_file()]
    return found[0] if found else abort(404)


def _read(path: Path) -> Shown:
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(path.read_bytes())
    assert isinstance(message, EmailMessage)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    return Shown(
        key=path.name,
        subject=str(message["Subject"]),
        sender=str(message["From"]),
        to=str(message["To"]),
        date=message["Date"].datetime if message["Date"] else None,
        text=text.get_content() if text is not None else "",
        html=html.get_content() if html is not None else "",
        html_url=url_for("mailbox.show_html", key=path.name),
        headers=tuple((name, str(value)) for name, value in message.items()),
    )
