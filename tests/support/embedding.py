"""A newspaper that embeds the form on an origin of its own, and a corner of the web for other pages."""

from __future__ import annotations

import importlib.util
import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from newsletter.database import write_transaction
from newsletter.extensions import db
from newsletter.services import lists
from tests.support.postgres import free_port
from tests.support.service import Service, eventually
from tests.support.smtp import Received

_HOST_SITE = Path(__file__).parents[2] / "examples" / "host-site" / "serve.py"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Embedded:
    """A service on 127.0.0.1, and the newspaper on localhost that embeds its form: another origin and another
    site."""

    service: Service
    url: str
    newspaper: str

    def state_of(self, email: str) -> str | None:
        """What is stored of somebody."""
        return self.service.states().get(email)

    def mail_to(self, email: str, number: int = 1) -> Received:
        """The newest mail that the service's own worker has brought, once there are so many."""
        eventually(lambda: len(self.service.sink.to(email)) >= number)
        return self.service.sink.to(email)[-1]

    def code_for(self, email: str) -> str:
        """The six digits of that mail, as they stand there."""
        code = re.search(r"^(\d{3} \d{3})\s*$", self.mail_to(email).part("plain"), re.MULTILINE)
        assert code
        return code[1]

    def way(self, email: str) -> tuple[str, str]:
        """By which embed somebody signed up, and from which site, as the evidence has it."""
        ((way, origin),) = self.service.rows(
            "SELECT e.way, e.origin FROM consent_events e JOIN subscriptions s ON s.id = e.subscription_id "
            "JOIN subscribers p ON p.id = s.subscriber_id WHERE p.address = :email",
            email=email,
        )
        return way, origin


@contextmanager
def embedding(service: Service, *, elsewhere: str | None = None, **environ: str) -> Iterator[Embedded]:
    """Serve both. The list names its sites: the newspaper, and `elsewhere`."""
    port = free_port()
    newspaper = f"http://localhost:{port}"
    sites = [newspaper, *([elsewhere] if elsewhere else [])]
    with service.app.app_context():
        with write_transaction(db.session()):
            lists.edit(db.session(), "daily", {"sites": sites, "return_urls": [f"{newspaper}/thanks"]})
        db.session.remove()
    with service.served("--workers", "1", **environ) as url, serving(_host_site(port, url)):
        yield Embedded(service, url, newspaper)


def _host_site(port: int, service: str) -> ThreadingHTTPServer:
    """The site of examples/host-site."""
    spec = importlib.util.spec_from_file_location("host_site", _HOST_SITE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    site: ThreadingHTTPServer = module.HostSite(port, service)
    return site


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


class Corner(ThreadingHTTPServer):
    """Pages by their path. `origin` and `other_origin` lead to the same pages."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _CornerHandler)
        self.pages: dict[str, str] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.origin = f"http://localhost:{self.server_port}"
        self.other_origin = f"http://127.0.0.1:{self.server_port}"

    def put(self, body: str, **headers: str) -> str:
        """Put up a page; gives its address."""
        path = f"/{next(_numbers)}"
        self.pages[path] = f'<!doctype html><html lang="en"><title>A page</title><body>{body}</body></html>'
        self.headers[path] = {name.replace("_", "-"): value for name, value in headers.items()}
        return f"{self.origin}{path}"


class _CornerHandler(BaseHTTPRequestHandler):
    server: Corner

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path)
        self.send_response(404 if page is None else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        for name, value in self.server.headers.get(self.path, {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write((page or "").encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        pass
