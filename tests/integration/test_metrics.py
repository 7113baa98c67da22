"""Figures for Prometheus: what a scrape tells, over all processes, with and without the database."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from newsletter.counted.series import GROUPS
from newsletter.extensions import db
from newsletter.models.outbox import Kind
from newsletter.services.exports import Format
from newsletter.web import metrics
from newsletter.web.latency import group_of
from tests.support.exporting import exported
from tests.support.importing import imported
from tests.support.postgres import free_port
from tests.support.service import Service, answers, eventually, path

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
Figures = Callable[..., float]


def _read(exposed: str) -> Figures:
    """The value of a series in what a scrape gave: 0 where it is not there."""
    values = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
    }
    return lambda name, **labels: values.get((f"newsletter_{name}", frozenset(labels.items())), 0.0)


def _scrape(service: Service) -> Figures:
    return _read(service.client.get("/metrics").text)


def _scraped(url: str) -> Figures:
    with urllib.request.urlopen(f"{url}/metrics", timeout=120) as response:
        return _read(response.read().decode())


def test_what_visitors_do_is_counted_once_and_by_its_way(service: Service) -> None:
    before = _scrape(service)
    service.sign_up("bob@example.org")
    service.sign_up("bob@example.org")
    mail = service.confirmed()
    service.client.post(path(mail.link("confirm")))
    for _ in range(2):
        service.client.post(path(mail.link("unsubscribe")), data={"List-Unsubscribe": "One-Click"})
    service.work()
    after = _scrape(service)

    def rise(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    assert rise("sign_ups_tried_total", way="form", answer="take") == 3
    assert rise("sign_ups_total", way="form") == 3
    assert rise("confirmations_total", way="page") == 1
    assert rise("unsubscribes_total", way="one-click") == 1
    assert rise("unsubscribes_total", way="page") == 0
    assert rise("mails_total", kind="confirmation", result="sent") == 2
    assert rise("request_seconds_count", group="sign_up") == 3
    assert rise("requests_total", group="confirm", status="2xx") == 2
    assert after("database_up") == 1


def test_what_fails_is_counted_as_that(service: Service) -> None:
    before = _scrape(service)
    service.sink.on_rcpt = lambda address: "450 later" if address.startswith("later") else "550 no"
    service.sign_up("later@example.org")
    service.sign_up("never@example.org")
    service.send_mail()
    after = _scrape(service)

    for result in ("delayed", "failed"):
        labels = {"kind": Kind.CONFIRMATION.value, "result": result}
        assert after("mails_total", **labels) - before("mails_total", **labels) == 1
    assert (
        after("returns_total", kind="bounce", way="smtp") - before("returns_total", kind="bounce", way="smtp")
        == 1
    )
    assert after("outbox_failed") == 1


def test_what_waits_is_read_when_it_is_asked_for(service: Service) -> None:
    began = time.monotonic()
    service.sign_up("ann@example.org")
    service.sign_up("bob@example.org")
    service.age(minutes=10)
    waiting = _scrape(service)
    passed = 600 + time.monotonic() - began

    assert waiting("outbox_waiting") == 2
    assert 600 <= waiting("outbox_oldest_seconds") <= passed
    assert waiting("journal_waiting") == 2
    assert 600 <= waiting("journal_oldest_seconds") <= passed

    service.send_mail()
    service.work()
    done = _scrape(service)
    assert [done(name) for name in ("outbox_waiting", "outbox_oldest_seconds", "journal_waiting")] == [
        0,
        0,
        0,
    ]


def test_a_scrape_answers_without_the_database_with_what_it_has(service: Service) -> None:
    service.sign_up()
    service.write("ALTER TABLE outbox RENAME TO away")
    away = service.client.get("/metrics")
    service.write("ALTER TABLE away RENAME TO outbox")

    assert away.status_code == 200
    assert _read(away.text)("database_up") == 0
    assert "newsletter_outbox_waiting" not in away.text
    assert _read(away.text)("sign_ups_tried_total", way="form", answer="take") >= 1
    assert _scrape(service)("database_up") == 1


def test_a_scrape_answers_in_time_while_the_database_hangs(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service("postgresql")
    with (
        service.app.app_context(),
        db.engine.begin() as other,
        monkeypatch.context() as impatient,
    ):
        impatient.setattr(metrics, "_PATIENCE", 0.5)
        other.execute(text("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE"))
        began = time.monotonic()
        hanging = _scrape(service)
        took = time.monotonic() - began
    eventually(lambda: _scrape(service)("database_up"))

    assert hanging("database_up") == 0
    assert took < 60  # the database itself gives up later


def test_labels_are_words_of_ours_whatever_is_asked_for(on_sqlite: Service) -> None:
    for asked in (
        "/nothing/ann@example.org",
        "/lists/no-such-list",
        "/confirm/token",
        "/api/v1/lists/x",
        "/api/x",
    ):
        on_sqlite.client.get(asked)
    on_sqlite.sign_up(way="made up")
    exposed = on_sqlite.client.get("/metrics").text

    assert not re.search(r"ann@|no-such-list|token|made up", exposed)
    assert set(re.findall(r'group="([^"]*)"', exposed)) <= set(GROUPS)


def test_the_history_that_an_archive_brings_makes_no_label(on_sqlite: Service) -> None:
    on_sqlite.confirmed()
    archive = exported(on_sqlite, format=Format.ARCHIVE).replace(b'"way":"page"', b'"way":"ann@example.org"')
    on_sqlite.write("DELETE FROM subscriptions")
    on_sqlite.write("DELETE FROM subscribers")
    imported(on_sqlite, archive)
    on_sqlite.work()

    exposed = on_sqlite.client.get("/metrics").text
    assert on_sqlite.one("SELECT count(*) FROM consent_events WHERE way = 'ann@example.org'") == 1
    assert 'way="other"' in exposed
    assert "ann@" not in exposed


def test_every_endpoint_is_of_a_group(on_sqlite: Service) -> None:
    groups = {group_of(rule.endpoint, rule.rule) for rule in on_sqlite.app.url_map.iter_rules()}

    assert groups <= set(GROUPS)
    assert groups >= {"sign_up", "code", "confirm", "unsubscribe", "console", "api", "static", "health"}


def _names(examples: str) -> set[str]:
    return set(re.findall(r"\bnewsletter_[a-z_]+", examples))


@pytest.mark.parametrize("example", ["alerts.yml", "grafana-dashboard.json"])
def test_every_metric_that_an_example_names_is_in_a_scrape(
    make_service: Callable[..., Service], example: str
) -> None:
    service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="20/hour")
    service.sign_up()
    there = _names(service.client.get("/metrics").text)
    asked = (EXAMPLES / example).read_text()

    assert len(_names(asked)) > 5
    assert _names(asked) <= there


def test_the_alert_rules_are_rules() -> None:
    groups = yaml.safe_load((EXAMPLES / "alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]

    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    dashboard: dict[str, Any] = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]

    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["expr"] for target in panel["targets"])
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


def test_all_processes_count_together_and_a_dead_one_takes_no_count_with_it(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("sqlite")
    with service.served("--workers", "2") as url:
        for number in range(6):
            body = f"email=reader{number}@example.org".encode()
            urllib.request.urlopen(f"{url}/lists/daily/subscriptions", data=body, timeout=120).close()
        eventually(lambda: _scraped(url)("mails_total", kind="confirmation", result="sent") == 6)
        figures = _scraped(url)
        assert figures("sign_ups_tried_total", way="form", answer="take") == 6
        eventually(lambda: _scraped(url)("processes", role="web") == 2)
        assert figures("processes", role="worker") == 1

        os.kill(_worker_of(url), signal.SIGKILL)
        body = b"email=reader6@example.org"
        urllib.request.urlopen(f"{url}/lists/daily/subscriptions", data=body, timeout=120).close()
        # Six by the dead one, and one by the one in its place.
        eventually(lambda: _scraped(url)("mails_total", kind="confirmation", result="sent") == 7)
        assert _scraped(url)("processes", role="worker") == 1


def _worker_of(url: str) -> int:
    """The process id of the worker beside the server that serves `url`."""
    port = url.rpartition(":")[2].encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if b"--with-parent" in command:
                parent = Path("/proc", command[command.index(b"--with-parent") + 1].decode(), "cmdline")
                if port in parent.read_bytes().split(b"\0"):
                    return int(folder.name)
        except OSError:
            continue
    raise AssertionError("there is no worker")


def test_a_worker_elsewhere_shows_its_own_counts(make_service: Callable[..., Service]) -> None:
    service = make_service("sqlite")
    service.sign_up()
    port = free_port()
    with service.process("worker", "--metrics-port", str(port)):
        url = f"http://127.0.0.1:{port}"
        eventually(partial(answers, f"{url}/metrics"))
        eventually(lambda: _scraped(url)("mails_total", kind="confirmation", result="sent") == 1)
        assert _scraped(url)("processes", role="worker") == 1


def test_a_port_that_is_taken_is_said_in_one_line(on_sqlite: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = on_sqlite.command("worker", "--metrics-port", str(port), check=False)

    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(f"newsletter: cannot listen on 127.0.0.1 port {port}")


def test_the_docs_name_every_figure_and_no_other(make_service: Callable[..., Service]) -> None:
    service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="20/hour")
    exposed = service.client.get("/metrics").text
    there = set(re.findall(r"^# TYPE (newsletter_[a-z_]+)", exposed, flags=re.MULTILINE))

    assert _names((EXAMPLES.parent / "monitoring.md").read_text()) == there


def test_the_docs_say_what_to_do_about_every_alert() -> None:
    alerts = set(re.findall(r"alert: (\w+)", (EXAMPLES / "alerts.yml").read_text()))
    told = set(
        re.findall(
            r"^\| (Newsletter\w+) \|", (EXAMPLES.parent / "monitoring.md").read_text(), flags=re.MULTILINE
        )
    )

    assert told == alerts
