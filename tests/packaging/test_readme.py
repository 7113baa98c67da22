"""The README's commands, run as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.service import Service, eventually

ROOT = Path(__file__).parents[2]


def test_every_command_of_the_readme_works(make_service: Callable[..., Service]) -> None:
    lines = re.findall(r"^ *\$ (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    made = make_service("sqlite")
    service = Service(
        {**made.environ, "NEWSLETTER_SMTP_URL": "", "NEWSLETTER_BASE_URL": "http://127.0.0.1"}, made.sink
    )
    with service.served() as url:
        service.sign_up("bob@example.org")
        mailbox = service.settings.mailbox_dir / "new"
        eventually(lambda: mailbox.exists() and list(mailbox.iterdir()))
        mail = next(mailbox.iterdir()).read_text()
        token = re.findall(r"^List-Unsubscribe: <.*/unsubscribe/(.*)>", mail, re.MULTILINE)[0]
        ran = []
        for line in lines:
            program, *arguments = shlex.split(
                line.replace("http://127.0.0.1:8000", url).replace("TOKEN", token)
            )
            ran.append(program.rpartition("/")[2])
            if program == "make":
                assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
            elif program.endswith("newsletter"):
                service.as_process(*arguments)
            else:
                subprocess.run([program, "-sSf", *arguments], check=True, capture_output=True)
        # Who leaves while the database is slow has left a moment later.
        left = {"bob@example.org": "unsubscribed", "ann@example.org": "pending"}
        eventually(lambda: service.states() == left)

    assert ran == ["make", "make", "newsletter", "curl", "curl"]
