"""Two applications in one process: nothing of one, its settings above all, is seen in what the other does."""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

import newsletter
from newsletter.database import write_transaction
from newsletter.extensions import db
from tests.support.service import Service, path

_LEFT = {
    "NEWSLETTER_BASE_URL": "https://left.example",
    "NEWSLETTER_POSTAL_ADDRESS": "1 Left Street, Leftham",
    "NEWSLETTER_MAIL_FROM": "Left News <news@left.example>",
    "NEWSLETTER_SECRET_KEYS": "l" * 40,
    "NEWSLETTER_LOG_LEVEL": "info",
}
_RIGHT = {
    "NEWSLETTER_BASE_URL": "https://right.example",
    "NEWSLETTER_POSTAL_ADDRESS": "2 Right Road, Rightham",
    "NEWSLETTER_MAIL_FROM": "Right News <news@right.example>",
    "NEWSLETTER_SECRET_KEYS": "r" * 40,
    "NEWSLETTER_LOG_LEVEL": "error",
}
_PAGES = ("/", "/lists/daily", "/lists/daily/form", "/embed/daily", "/unsubscribe", "/nothing", "/metrics")
# What a function keeps for the whole process: of these, each depends on its arguments and the files of this
# version alone. What depends on settings belongs to the application, in `app.extensions`.
_CACHED = {
    "counted/series.py:_made",  # counts are those of the process
    "domain/bounce_texts.py:_table",
    "domain/typos.py:_meant",
    "mail/compose.py:_templates",
    "services/evidence.py:_change",
    "services/importing/column_names.py:_beginning",
    "services/importing/column_names.py:_within",
    "services/importing/column_names.py:meaning_of",
    "services/importing/state_words.py:word_of",
    "services/importing/watching.py:_sure_words",
    "services/subscribers/searching.py:_ending",
    "services/subscribers/searching.py:_looking",
    "translations/__init__.py:_compiled",
    "web/api/reference.py:document",  # made anew with each application
    "web/assets.py:asset",
    "web/embeds.py:script",
}
# The settings; what an MTA tells the command that it calls; where the processes of a machine count.
_READS_ENVIRONMENT = {
    "cli/receiving.py", "conformance/copying.py", "counted/processes.py", "serving.py", "settings.py",
}  # fmt: skip

_PACKAGE = Path(newsletter.__file__).parent
Two = tuple[Service, Service]


@pytest.fixture
def two(make_service: Callable[..., Service]) -> Two:
    left, right = make_service("sqlite", **_LEFT), make_service("sqlite", **_RIGHT)
    right.write("UPDATE mailing_lists SET locale = 'de'")
    return left, right


def _visit(service: Service, email: str = "ann@example.org") -> str:
    """Everything that a visitor is shown on the way in and out, and mailed."""
    seen = [service.client.get(page).text for page in _PAGES]
    seen.append(service.sign_up(email).text)
    mail = service.mail_to(email)[-1]
    confirm, leave = path(mail.link("confirm")), path(mail.link("unsubscribe"))
    client = service.client
    answers = [client.get(confirm), client.post(confirm), client.get(leave), client.post(leave)]
    seen += [answer.text for answer in answers]
    assert [answer.status_code for answer in answers] == [200] * 4
    return "\n".join([*seen, mail.raw.decode()])


def test_no_page_and_no_mail_shows_what_belongs_to_the_other(two: Two) -> None:
    left, right = (_visit(service) for service in two)
    left_again = _visit(two[0], "bob@example.org")

    for text, own, other in ((left, _LEFT, "right"), (right, _RIGHT, "left"), (left_again, _LEFT, "right")):
        assert text.count(own["NEWSLETTER_POSTAL_ADDRESS"]) > len(_PAGES)
        assert f"{other}.example" not in text
        assert other.capitalize() not in text
    assert ('lang="de"' in left, 'lang="de"' in right) == (False, True)


def test_links_open_nothing_at_the_other(two: Two) -> None:
    left, right = two
    link = path(left.confirmed().link("unsubscribe"))

    assert (right.client.post(link).status_code, left.client.post(link).status_code) == (404, 200)


def test_limits_are_those_of_each(make_service: Callable[..., Service]) -> None:
    both = [make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT=limit) for limit in ("1/hour", "2/hour")]
    asked_one_more_step = [
        ["altcha" in service.sign_up(f"{name}@example.org").text for service in both]
        for name in ("ann", "bob", "eve")
    ]

    assert asked_one_more_step == [[False, False], [True, False], [True, True]]


def test_each_logs_by_its_own_level(two: Two, capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger()
    for service, name in zip(two, ("left", "right"), strict=True):
        with service.app.app_context():
            log.info("something", of=name)
            log.error("worse", of=name)
    written = capsys.readouterr().err

    said = [(line["of"], line["event"]) for line in map(json.loads, written.splitlines())]
    assert said == [("left", "something"), ("left", "worse"), ("right", "worse")]


def test_who_writes_for_one_may_write_for_the_other(two: Two) -> None:
    left, right = two

    def write_for_both() -> None:
        with left.app.app_context(), write_transaction(db.session()):
            right.write("UPDATE mailing_lists SET name = 'Right & more'")

    thread = threading.Thread(target=write_for_both, daemon=True)
    thread.start()
    thread.join(timeout=60)

    assert not thread.is_alive()
    assert right.one("SELECT name FROM mailing_lists") == "Right & more"


def test_what_a_function_keeps_for_the_process_and_who_reads_the_environment_is_written_out() -> None:
    cached, reads = set(), set()
    for file in _PACKAGE.rglob("*.py"):
        name = file.relative_to(_PACKAGE).as_posix()
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and any(
                "cache" in ast.unparse(decorator) and "cached_property" not in ast.unparse(decorator)
                for decorator in node.decorator_list
            ):
                cached.add(f"{name}:{node.name}")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv"):
                reads.add(name)

    assert cached == _CACHED
    assert reads == _READS_ENVIRONMENT
