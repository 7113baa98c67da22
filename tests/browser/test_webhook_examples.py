"""What docs/webhooks.md shows a receiver is true: its examples know our messages from others."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from newsletter.domain.webhooks import Notice, new_secret, signature
from newsletter.paths import TEMPLATES
from tests.support.embedding import Embedded

DOCUMENT = (TEMPLATES.parent / "docs" / "webhooks.md").read_text()
BODY = '{"type":"webhook.test","data":{"list":"täglich"}}'
OLD, NEW = new_secret(), new_secret()


def _example(language: str) -> str:
    match = re.search(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert match
    return match[1]


def _headers(*secrets: str, age: int = 0) -> dict[str, str]:
    sent = int(time.time()) - age
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(sent),
        "webhook-signature": signature(secrets, "msg_1", sent, BODY.encode()),
    }


def _cases() -> list[tuple[dict[str, str], str, str, bool]]:
    """Headers of now, the body as it arrived, the secret that the receiver knows, and whether the message is
    ours."""
    return [
        (_headers(NEW), BODY, NEW, True),
        (_headers(NEW, OLD), BODY, OLD, True),
        (_headers(NEW, OLD), BODY, NEW, True),
        (_headers(NEW), BODY, OLD, False),
        (_headers(NEW), BODY + " ", NEW, False),
        (_headers(NEW, age=600), BODY, NEW, False),
        (_headers(NEW) | {"webhook-id": "msg_2"}, BODY, NEW, False),
    ]


def test_the_example_in_python() -> None:
    names: dict[str, Any] = {}
    exec(_example("python"), names)

    for headers, body, secret, ours in _cases():
        assert names["is_ours"](headers, body.encode(), secret) is ours


def test_the_example_in_javascript(embedded: Embedded, visit: Callable[..., Page]) -> None:
    page = visit(embedded.url + "/")
    run = f"async ([headers, body, secret]) => {{ {_example('js')} return isOurs(headers, body, secret); }}"

    for *asked, ours in _cases():
        assert page.evaluate(run, asked) is ours


def test_the_example_of_a_message_is_json_and_every_type_is_named() -> None:
    assert json.loads(_example("json"))["data"]["state"] == "confirmed"
    named = set(re.findall(r"(?m)^\| `(subscription\.\w+)` \|", DOCUMENT))
    assert named == {notice.type for notice in Notice}
