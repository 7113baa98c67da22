"""An operator at their browser, for the tests of the console."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyotp
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from newsletter.database import write_transaction
from newsletter.domain.roles import Role
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import lists, operators
from newsletter.services.access import COMMAND_LINE
from tests.support.service import Service, now, path

PASSWORD = "correct horse battery"
_ORIGIN = "https://news.example"


def invite(
    service: Service, email: str, *, role: Role = Role.OWNER, slugs: Sequence[str] | None = None
) -> str:
    """Invite somebody; returns the link."""
    with service.app.app_context():
        session = db.session()
        known = lists.find_many(session, list(slugs or ()))
        seen = None if slugs is None else [one.id for one in known.values()]
        with write_transaction(session):
            added = operators.add(session, now(), COMMAND_LINE, address=email, role=role, lists=seen)
        token = parts().tickets.invitation(added.id, added.stamp, now=now())
        return f"{_ORIGIN}/operator/welcome/{token}"


def wrong_code(secret: str) -> str:
    """Six digits that are no code of a second factor, for minutes."""
    totp, moment = pyotp.TOTP(secret), int(now().timestamp())
    right = {totp.at(moment + 30 * step) for step in range(-4, 20)}
    return next(digits for number in range(len(right) + 1) if (digits := f"{number:06}") not in right)


class Console:
    """A browser: it keeps cookies, and sends the token of the form that it was shown."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client: FlaskClient = service.app.test_client()

    @classmethod
    def of(
        cls, service: Service, email: str, *, role: Role = Role.OWNER, slugs: Sequence[str] | None = None
    ) -> Console:
        """That of a new operator, who is logged in."""
        console = cls(service)
        answer = console.post(path(invite(service, email, role=role, slugs=slugs)), password=PASSWORD)
        assert answer.status_code == 303
        return console

    def get(self, url: str) -> TestResponse:
        return self.client.get(url, base_url=_ORIGIN)

    def post(self, url: str, /, **fields: object) -> TestResponse:
        """Send a form, with the token of the log-in page or of the account's."""
        return self.client.post(
            url, base_url=_ORIGIN, data={"csrf_token": self._token(), **fields}, headers={"Referer": _ORIGIN}
        )

    def upload(self, url: str, content: bytes, name: str = "people.csv") -> TestResponse:
        """Send a form with a file."""
        # Written out: the client's own way leaves a temporary file open.
        parts = (
            f'name="csrf_token"\r\n\r\n{self._token()}'.encode(),
            f'name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'.encode() + content,
        )
        body = b"".join(b"--edge\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts)
        return self.client.post(
            url, base_url=_ORIGIN, data=body + b"--edge--\r\n", headers={"Referer": _ORIGIN},
            content_type="multipart/form-data; boundary=edge",
        )  # fmt: skip

    def log_in(self, email: str, password: str) -> TestResponse:
        return self.post("/operator/login", email=email, password=password)

    def cookie(self) -> str | None:
        found = self.client.get_cookie("__Host-newsletter", domain="news.example")
        return found.value if found is not None else None

    def switch_on_second_factor(self) -> tuple[str, list[str]]:
        """Scan the secret and type its code; returns the secret and the recovery codes."""
        page = self.get("/operator/account/second-factor").text
        secret = re.search(r"secret: <code>([A-Z2-7]+)</code>", page)
        assert secret
        answer = self.post("/operator/account/second-factor", code=pyotp.TOTP(secret[1]).now())
        return secret[1], re.findall(r"<li><code>([a-z0-9-]+)</code>", answer.text)

    def _token(self) -> str:
        for url in ("/operator/login", "/operator/account", "/operator/login/code"):
            found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(url).text)
            if found:
                return found[1]
        raise AssertionError("no page has a form")
