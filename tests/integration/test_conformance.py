"""`newsletter conformance`: it passes on this service, and finds what is wrong with a broken one."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from flask import Flask

from newsletter import create_app
from newsletter.cli import group, run
from newsletter.conformance.asking import Asker
from newsletter.conformance.checking import check_public
from newsletter.conformance.copying import staged
from newsletter.conformance.one_click_rules import one_click
from newsletter.conformance.page_rules import pages
from newsletter.conformance.public import Public
from newsletter.conformance.rules import Result, Rules, Verdict
from newsletter.conformance.scanner_rules import scanning
from newsletter.conformance.stage import Stage
from newsletter.conformance.whole_rules import whole
from newsletter.models.outbox import Kind
from newsletter.settings import Settings
from tests.support.acting import the_list
from tests.support.sabotage import (
    Middleware,
    adding,
    answering,
    on_loopback,
    pressing,
    query_of,
    sent_to,
    slashed,
    with_headers,
)
from tests.support.service import Service, environment, eventually, process_environment
from tests.support.smtp import Sink
from tests.unit.test_conformance_signatures import NAME, RECORD, signed

T = TypeVar("T")
_GOOD = r"/(?:(?:unsubscribe|confirm)/[A-Za-z0-9_-]{22}1?[.][A-Za-z0-9_.-]{43,}|lists/.*)"

CHECK = ("conformance", "--json")


@dataclass(frozen=True)
class Caught:
    """The test's own SMTP server as the stage's catcher."""

    sink: Sink
    name: str = "sink"

    @property
    def environ(self) -> dict[str, str]:
        return {}

    def caught(self) -> list[tuple[str, bytes]]:
        return [(mail.recipient, mail.raw) for mail in self.sink.mails]


@contextmanager
def _stage(service: Service, broken: Middleware | None = None, log: Path | None = None) -> Iterator[Stage]:
    application = broken(service.app) if broken is not None else service.app
    with on_loopback(application) as port:
        yield Stage(
            service.app,
            Asker("127.0.0.1", port, "news.example"),
            Caught(service.sink),
            "daily",
            log,
            together=4,
        )


@contextmanager
def _public(service: Service, broken: Middleware | None = None) -> Iterator[Public]:
    application = broken(service.app) if broken is not None else service.app
    with on_loopback(application) as port:
        yield Public(service.app, "https://news.example", Asker("127.0.0.1", port, "news.example"))


@pytest.fixture(scope="module")
def ours(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all that is broken in front of it: each trial has readers of its own."""
    folder = tmp_path_factory.mktemp("conformance")
    shutil.copy(sqlite_template, folder / "newsletter.sqlite3")
    sink = Sink()
    sink.start()
    service = Service(environment(folder, sink, None), sink)
    yield service
    service.close()
    sink.stop()


def _failed(results: Iterable[Result]) -> set[str]:
    return {result.name for result in results if result.verdict is Verdict.FAILED}


@pytest.mark.parametrize(
    ("kind", "environ", "transport"),
    [
        ("sqlite", {"NEWSLETTER_SMTP_URL": "", "NEWSLETTER_BASE_URL": ""}, "Maildir"),
        (
            "postgresql",
            {
                "NEWSLETTER_SMTP_URL": "smtps://me:secret@relay.invalid",
                "NEWSLETTER_INBOUND_DOMAIN": "b.news.example",
            },
            "SMTP",
        ),
    ],
    ids=["maildir", "smtp"],
)
def test_a_fresh_service_passes_and_is_not_touched(
    make_service: Callable[..., Service],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    environ: dict[str, str],
    transport: str,
) -> None:
    service = make_service(kind)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)  # the copy takes the settings from there
    before = service.counts()
    folder = tmp_path / "temporary"
    folder.mkdir()
    done = service.as_process(*CHECK, check=False, TMPDIR=str(folder), **environ)

    found = json.loads(done.stdout)
    assert [rule for rule in found["rules"] if rule["verdict"] == "failed"] == []
    assert done.returncode == 0
    assert found["counts"]["passed"] > 50
    by_mail = next(rule for rule in found["rules"] if rule["rule"] == "by-mail")
    assert by_mail["verdict"] == ("passed" if "NEWSLETTER_INBOUND_DOMAIN" in environ else "not shown")
    assert transport in found["transport"]
    assert done.stderr == ""
    assert service.counts() == before
    assert list(folder.iterdir()) == []
    assert service.sink.mails == []


def test_a_mail_of_every_kind_is_looked_at(on_sqlite: Service) -> None:
    on_sqlite.write("UPDATE mailing_lists SET welcome = 'Hello'")
    with _stage(on_sqlite) as stage:
        samples = stage.samples()

    kinds = on_sqlite.rows("SELECT kind FROM outbox WHERE status = 'sent' ORDER BY id")
    assert {kind for (kind,) in kinds} == set(Kind)
    assert len(samples) == len(kinds) == len(Kind)


def test_the_table_is_plain_in_a_pipe_and_names_rules_with_their_source(on_sqlite: Service) -> None:
    saved = Path(on_sqlite.environ["NEWSLETTER_DATA_DIR"]) / "mail.eml"
    saved.write_bytes(b"From: a@b.example\n\nHello\n")
    done = on_sqlite.command("conformance", "--mail", str(saved), check=False)

    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "FAILED     U1, RFC 8058 §3.1" in done.stdout
    assert "it has 0" in done.stdout


def test_a_mail_that_came_back_is_judged_with_its_signature(on_sqlite: Service) -> None:
    folder = Path(on_sqlite.environ["NEWSLETTER_DATA_DIR"])
    (folder / "mail.eml").write_bytes(signed())
    (folder / "s1.txt").write_text(f's1._domainkey IN TXT ( "{RECORD}" ) ; a zone')
    check = ["conformance", "--mail", str(folder / "mail.eml"), "--json", "--dkim-key", NAME]

    good = on_sqlite.as_process(*check, str(folder / "s1.txt"), NEWSLETTER_BASE_URL="https://news.example")
    assert "2,048 bits: passes" in json.loads(good.stdout)["signature 1"]
    (folder / "mail.eml").write_bytes(signed().replace(b"Please confirm", b"[ext] Please confirm"))
    bad = on_sqlite.as_process(
        *check, str(folder / "s1.txt"), check=False, NEWSLETTER_BASE_URL="https://news.example"
    )
    assert bad.returncode == 1
    failed = [rule for rule in json.loads(bad.stdout)["rules"] if rule["verdict"] == "failed"]
    assert [rule["rule"] for rule in failed] == ["passes"]
    assert "was changed after it was signed" in failed[0]["notes"][0]


def test_in_public_it_is_tried_with_links_of_nobody(on_sqlite: Service) -> None:
    on_sqlite.sign_up()
    before = on_sqlite.counts()
    with on_sqlite.served("--workers", "1") as url:
        done = on_sqlite.as_process(*CHECK, "--live", check=False, NEWSLETTER_BASE_URL=url)

    assert [rule for rule in json.loads(done.stdout)["rules"] if rule["verdict"] == "failed"] == []
    assert done.returncode == 0
    assert on_sqlite.counts() == before
    assert on_sqlite.states() == {"ann@example.org": "pending"}


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--list", "nope"], {}),
        (["--live"], {"NEWSLETTER_BASE_URL": "http://127.0.0.1:1"}),
        ([], {"NEWSLETTER_TRUSTED_PROXIES": "many"}),
        ([], {"NEWSLETTER_DATABASE_URL": "postgresql://me:s3cret@127.0.0.1:1/news"}),
        (["--mail", "/dev/zero"], {}),
        (["--mail", "/nowhere/mail.eml"], {}),
        (["--mail", "pyproject.toml"], {}),
        (["--live", "--mail", "pyproject.toml"], {}),
        (["--dkim-key", "s1._domainkey.news.example", "pyproject.toml"], {}),
        (["--mail", "README.md", "--dkim-key", "s1._domainkey.news.example", "LICENSE"], {}),
        (["--mail", "README.md", "--dkim-key", "s1._domainkey.news.example", "/nowhere"], {}),
    ],
    ids=[
        "no such list",
        "nothing there",
        "a bad setting",
        "no database",
        "too large",
        "no file",
        "no mail",
        "two at once",
        "a key for no mail",
        "a file without a key",
        "no file of a key",
    ],
)
def test_what_cannot_be_tried_has_a_status_of_its_own(
    on_sqlite: Service,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    environ: dict[str, str],
) -> None:
    for name, value in (on_sqlite.environ | environ).items():
        monkeypatch.setenv(name, value)
    with _signals_kept(), pytest.raises(SystemExit) as ended:
        run(lambda: group(create_app).main(["conformance", *arguments], prog_name="newsletter"))

    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith(("newsletter: ", "Error: "))
    assert "s3cret" not in said.err


@contextmanager
def _signals_kept() -> Iterator[None]:
    mask = os.umask(0o077)
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        os.umask(mask)
        for number, handler in kept.items():
            signal.signal(number, handler)


def test_ended_early_it_leaves_nothing_behind(on_sqlite: Service, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    environ = process_environment(on_sqlite.environ | {"TMPDIR": str(folder)})
    check = subprocess.Popen(
        [sys.executable, "-m", "newsletter", *CHECK], env=environ, stderr=subprocess.PIPE
    )
    eventually(lambda: list(folder.glob("*/log")))
    check.send_signal(signal.SIGINT)
    _, said = check.communicate(timeout=120)

    assert check.returncode == 130
    assert said == b""
    assert list(folder.iterdir()) == []
    eventually(lambda: _processes_of(folder) == [])


def test_killed_it_leaves_no_server_behind(on_sqlite: Service, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    environ = process_environment(on_sqlite.environ | {"TMPDIR": str(folder)})
    check = subprocess.Popen(
        [sys.executable, "-m", "newsletter", *CHECK], env=environ, stderr=subprocess.PIPE
    )
    eventually(lambda: list(folder.glob("*/log")) and len(_processes_of(folder)) >= 2)
    check.kill()
    check.communicate(timeout=120)

    eventually(lambda: _processes_of(folder) == [])


def test_what_a_killed_one_left_is_removed_by_the_next(
    on_sqlite: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, in_use, fresh = (tmp_path / f"newsletter-conformance-{name}" for name in ("left", "used", "fresh"))
    for folder in (left, in_use, fresh):
        folder.mkdir()
        (folder / "newsletter.sqlite3").touch()
    for folder in (left, in_use):
        os.utime(folder, (0, 0))
    held = os.open(in_use, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError), staged(_no_app, on_sqlite.settings, the_list(on_sqlite)):
            pass
    finally:
        os.close(held)

    assert [folder.exists() for folder in (left, in_use, fresh)] == [False, True, True]


def _no_app(_settings: Settings) -> Flask:
    raise RuntimeError


def _processes_of(folder: Path) -> list[str]:
    """The processes that still have a folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (
                process.name != str(os.getpid())
                and str(folder).encode() in (process / "environ").read_bytes()
            ):
                found.append(process.name)
        except OSError:
            continue
    return found


BROKEN: dict[str, tuple[Middleware, set[str]]] = {
    "a trailing slash is redirected": (
        answering("308 Permanent Redirect", when=slashed, headers={"Location": "/elsewhere"}),
        {"trailing-slash"},
    ),
    "http is redirected": (
        answering(
            "301 Moved Permanently",
            when=lambda environ: environ.get("HTTP_X_FORWARDED_PROTO") == "http",
            headers={"Location": "https://news.example/"},
        ),
        {"http-behind-a-proxy"},
    ),
    "who has no user agent is refused": (
        answering(
            "403 Forbidden",
            when=lambda environ: "HTTP_USER_AGENT" not in environ and sent_to("POST")(environ),
        ),
        {"without-context", "any-body", "multipart", "chunked", "cross-origin"},
    ),
    "only forms are taken": (
        answering(
            "415 Unsupported Media Type",
            when=lambda environ: (
                sent_to("POST")(environ)
                and not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
            ),
        ),
        {"any-body", "multipart"},
    ),
    "a GET unsubscribes": (
        pressing(sent_to("GET")),
        {"scanned-unsubscribe", "prefetched", "disguised", "followed", "glued", "escaped"},
    ),
    "a HEAD unsubscribes": (pressing(sent_to("HEAD")), {"scanned-unsubscribe"}),
    "a GET confirms": (
        pressing(sent_to("GET", "confirm")),
        {"scanned-confirm", "prefetched", "disguised", "followed", "glued", "every-link-opened"},
    ),
    "a prefetch unsubscribes": (
        pressing(lambda environ: sent_to("GET")(environ) and "HTTP_SEC_PURPOSE" in environ),
        {"prefetched"},
    ),
    "a query unsubscribes": (
        pressing(lambda environ: sent_to("GET")(environ) and "List-Unsubscribe" in query_of(environ)),
        {"disguised"},
    ),
    "a cache keeps the pages": (with_headers(Cache_Control="public, max-age=3600"), {"not-kept"}),
    "headers are dropped": (
        with_headers(Content_Security_Policy=None, Referrer_Policy=None, X_Robots_Tag=None),
        {"guarded", "not-kept"},
    ),
    "scripts may not read": (with_headers(Access_Control_Allow_Origin=None), {"cross-origin", "preflight"}),
    "scripts read with credentials": (
        with_headers(Access_Control_Allow_Credentials="true"),
        {"cross-origin", "preflight"},
    ),
    "the form sends itself": (
        adding("<script>document.forms[0].submit()</script>"),
        {"nothing-sends-itself"},
    ),
    "a tracker is on the page": (adding("<img src=https://track.example/1.gif>"), {"loads-nothing"}),
    "a reason is asked for": (adding("<select name=reason></select>"), {"one-button"}),
    "every link is taken for a good one": (
        answering(
            "200 OK", when=lambda environ: not re.fullmatch(_GOOD, environ["PATH_INFO"]), body=b"<p>Gone"
        ),
        {"damaged-token"},
    ),
    "every POST is redirected": (
        answering("302 Found", when=sent_to("POST"), headers={"Location": "/"}),
        {
            "gmail",
            "chunked",
            "by-the-page",
            "again",
            "at-once",
            "damaged-token",
            "stays-away",
            "leaves-before-the-mail",
        },
    ),
    "a POST is swallowed": (
        answering("200 OK", when=sent_to("POST")),
        {"gmail", "chunked", "any-body", "cross-origin", "damaged-token", "stays-away"},
    ),
    "a GET takes a change of address back": (pressing(sent_to("GET", "not-me")), {"every-link-opened"}),
    "one click stops no change of address": (
        answering(
            "200 OK",
            when=lambda environ: (
                sent_to("POST", "new-address")(environ) and environ["PATH_INFO"].endswith("/stop")
            ),
            headers={"Access-Control-Allow-Origin": "*"},
        ),
        {"every-one-click"},
    ),
    "webmail may not read what became of a change of address": (
        answering(
            "200 OK",
            when=lambda environ: (
                sent_to("POST", "new-address")(environ) and environ["PATH_INFO"].endswith("/stop")
            ),
        ),
        {"every-one-click"},
    ),
    "the confirm link is dead": (
        answering("404 Not Found", when=sent_to("GET", "confirm")),
        {
            "scanned-confirm",
            "prefetched",
            "disguised",
            "not-kept",
            "guarded",
            "no-dead-link",
        },
    ),
}


# Rules that nearly every broken service keeps.
UNBROKEN = {"chunked", "confirms", "masked"}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_wrong_with_a_service_is_told_by_its_rule(ours: Service, broken: str) -> None:
    middleware, rules = BROKEN[broken]
    with _stage(ours, middleware) as stage:
        results = list(_judged(stage, rules | UNBROKEN))

    assert rules <= {result.name for result in results}
    assert _failed(results) == rules


def _judged(stage: Stage, names: set[str]) -> Iterator[Result]:
    """The results of some rules."""
    for section in (one_click, scanning, pages):
        yield from _some(section, names).judge({"": stage})
    yield from _some(whole, names).judge({"": stage})


def _some(rules: Rules[T], names: set[str]) -> Rules[T]:
    some: Rules[T] = Rules(rules.section)
    some.rules = [rule for rule in rules.rules if rule.name in names]
    return some


PUBLICLY_BROKEN: dict[str, tuple[Middleware, set[str]]] = {
    "a trailing slash is redirected": (
        answering("308 Permanent Redirect", when=slashed, headers={"Location": "/elsewhere"}),
        {"trailing-slash"},
    ),
    "a POST is swallowed": (answering("200 OK", when=sent_to("POST")), {"gmail", "at-once", "damaged-token"}),
    "headers are dropped": (
        with_headers(Access_Control_Allow_Origin=None, X_Robots_Tag=None),
        {"gmail", "cross-origin", "not-kept"},
    ),
    "it is another service": (
        answering("404 Not Found", when=lambda _: True),
        {"same-service", "gmail", "erased", "scanned-unsubscribe"},
    ),
}


@pytest.mark.parametrize("broken", PUBLICLY_BROKEN)
def test_what_stands_in_front_is_found_in_public(ours: Service, broken: str) -> None:
    middleware, rules = PUBLICLY_BROKEN[broken]
    with _public(ours, middleware) as public:
        failed = _failed(check_public(public))

    assert rules <= failed
    assert ("yahoo" in failed) == ("gmail" in failed)


def test_a_token_or_an_address_in_the_log_is_found(ours: Service, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("quiet")
    with _stage(ours, log=log) as stage:
        reader = stage.reader()
        quiet = _failed(_judged(stage, {"nothing-in-the-log"}))
        log.write_text(f"GET {reader.leave}")
        loud = _failed(_judged(stage, {"nothing-in-the-log"}))

    assert (quiet, loud) == (set(), {"nothing-in-the-log"})
