"""A newspaper's site that embeds the sign-up form three ways, under a strict Content-Security-Policy.

It stands for the publisher's side only: static pages and a header, nothing of the service. The policy is
the part to copy: it names the service's origin where a kind of embed needs it, and allows nothing inline.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import mimetypes
import signal
import sys
from datetime import date
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_HERE = Path(__file__).parent
_EMBEDS = {"/": "element", "/form": "form", "/frame": "frame"}  # address -> file in pages/embeds
_ASSETS = {f"/{path.name}": path for path in (_HERE / "assets").iterdir()}


def policy(service: str) -> str:
    """The Content-Security-Policy of a page that embeds the form.

    script-src and connect-src serve the custom element, frame-src the iframe, form-action the plain form.
    form-action also names the site itself: browsers hold the answer's redirect to `next` against it.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {service}",
            f"connect-src {service}",
            f"form-action {service} 'self'",
            f"frame-src {service}",
            "style-src 'self'",
            "img-src 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


class HostSite(ThreadingHTTPServer):
    """The site on one port of this machine, pointed at one service."""

    daemon_threads = True

    def __init__(self, port: int, service: str) -> None:
        super().__init__(("127.0.0.1", port), PageHandler)
        self.service = service
        self.address = f"http://localhost:{self.server_port}"

    def page(self, path: str) -> str | None:
        """The page at a path, or None where there is none. Files are read anew: edit one and reload."""
        if path == "/thanks":
            return self._fill(_read("thanks.html"))
        if path not in _EMBEDS:
            return None
        embed = _read(f"embeds/{_EMBEDS[path]}.html").rstrip()
        page = _read("article.html").replace("{{ embed }}", embed)
        current = f'<a href="{path}">'
        return self._fill(page.replace(current, current.replace(">", ' aria-current="page">')))

    def _fill(self, page: str) -> str:
        today = date.today()  # noqa: DTZ011 - a newspaper is dated where it is printed
        values = {
            "service": self.service,
            "here": self.address,
            "today": f"{today:%A}, {today.day} {today:%B} {today.year}",
            "today_iso": today.isoformat(),
        }
        for name, value in values.items():
            page = page.replace("{{ " + name + " }}", html.escape(value))
        return page


class PageHandler(BaseHTTPRequestHandler):
    """GET and HEAD of the few addresses there are."""

    server: HostSite
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """Answer with a page, an asset, or 404."""
        path = urlsplit(self.path).path
        page = self.server.page(path)
        if page is not None:
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page.encode())
        elif path in _ASSETS:
            kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
            self._answer(HTTPStatus.OK, kind, _ASSETS[path].read_bytes())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"There is no such page.\n")

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", policy(self.server.service))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing: the service beside us has the interesting log."""


def _read(name: str) -> str:
    return (_HERE / "pages" / name).read_text(encoding="utf-8")


def _origin(text: str) -> str:
    """An origin, as it stands in the pages and in the policy."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or any(c in text for c in " ;,'\""):
        raise argparse.ArgumentTypeError(f"{text!r} is not an origin such as https://news.example")
    return f"{parts.scheme}://{parts.netloc}"


def main() -> int:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description="A newspaper's site that embeds the sign-up form.")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument(
        "--service", type=_origin, default="http://127.0.0.1:8000", help="origin of the service"
    )
    options = parser.parse_args()
    try:
        site = HostSite(options.port, options.service)
    except OSError as error:
        sys.stderr.write(f"cannot listen on port {options.port}: {error.strerror}\n")
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.stdout.write(f"A newspaper that embeds the form: open {site.address}\n")
    sys.stdout.flush()
    with site, contextlib.suppress(KeyboardInterrupt):
        site.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
