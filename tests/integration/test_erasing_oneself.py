"""Who erases themself leaves no trace: not in a table, not in the database's files, not in a dump of it."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import make_url

from newsletter.database import drop_old_pages
from newsletter.dead_letters import DeadLetters
from newsletter.domain.addresses import parse_address
from newsletter.domain.suppressing import Reason
from newsletter.extensions import db
from newsletter.services import counting, suppress, traces
from tests.integration.test_own_page import do, in_days, whole_path
from tests.support import postgres
from tests.support.acting import reading, writing
from tests.support.importing import imported, uploaded
from tests.support.service import Service, now, path

ADDRESS, NEW_ADDRESS = "Zaphod.Quuxbury@example.org", "quuxbury.zaphod@example.net"
NETWORK, AGENT = "203.0.113.77", "Betelgeuse/7.0"
# Long enough to stand in no hash by chance.
TRACES = ("zaphod", "quuxbury", "beeblebrox", NETWORK, "betelgeuse", "magrathea", "heartofgold")
HEADERS = {"User-Agent": AGENT, "Referer": "https://news.example/heartofgold"}


def live(service: Service) -> str:
    """Somebody leaves as many traces as they can; returns their page."""
    client = service.app.test_client()
    client.environ_base["REMOTE_ADDR"] = NETWORK
    signed_up = {"email": ADDRESS, "name": "Beeblebrox"}
    client.post("/lists/daily/subscriptions", data=signed_up, headers=HEADERS)
    service.sink.on_data = lambda _mail: f"451 {ADDRESS} is over quota"
    service.send_mail()
    service.sink.on_data = lambda _mail: None
    service.write("UPDATE outbox SET next_attempt_at = created_at")
    client.post(path(service.mail_to(ADDRESS)[-1].link("confirm")), headers=HEADERS)
    service.write("""UPDATE subscribers SET attributes = '{"planet":"Magrathea"}'""")
    service.confirmed("bob@example.org")
    bounce = f"To: <{ADDRESS}>\r\n\r\nNobody here".encode()
    DeadLetters(service.settings.dead_letters_dir).keep(bounce, reason="odd", recipient=None, now=now())
    # In files: one that waits, one whose row was refused.
    uploaded(service, f"email,name\n{ADDRESS.upper()},Beeblebrox\n")
    imported(service, f"email\nbob@example.org\n{ADDRESS}\n{ADDRESS}\n", statement="They asked for it")
    page = whole_path(service, ADDRESS)
    subscription = str(UUID(str(service.one(
        "SELECT s.id FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id WHERE p.name = 'Beeblebrox'"
    ))))  # fmt: skip
    client.post(
        page, data={"do": "pause", "subscription": subscription, "until": in_days(9)}, headers=HEADERS
    )
    client.post(page, data={"do": "address", "email": NEW_ADDRESS}, headers=HEADERS)
    service.work()
    return page


def dumped(service: Service, folder: Path) -> str:
    """All that somebody finds who takes the database away, in lower case."""
    url = make_url(service.settings.database_url)
    if service.on_postgresql:
        binaries = postgres.binaries()
        assert binaries is not None
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        dump = subprocess.run(
            [binaries / "pg_dump", plain], capture_output=True, check=True, text=True
        ).stdout
        return dump.lower()
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any(file.name == "newsletter.sqlite3" for file in files)
    return "\n".join(file.read_bytes().decode("latin-1") for file in files).lower()


def test_no_trace_is_left_in_the_database_or_its_files(service: Service) -> None:
    page = live(service)
    folder = service.settings.data_dir
    before = dumped(service, folder)
    assert [trace for trace in TRACES if trace not in before] == []

    asked = do(service, page, "erase")
    assert "It cannot be undone" in asked.text
    assert service.one("SELECT count(*) FROM subscribers") == 2  # asked once more
    done = do(service, page, "erase", sure="yes")
    assert "Everything is erased" in done.text
    service.work()
    # For how long requests are counted by network, whoever they are of.
    writing(service, lambda session: counting.forget(session, now() + timedelta(days=1, minutes=1)))
    with service.app.app_context():
        drop_old_pages(db.engine)

    after = dumped(service, folder)
    assert list(service.settings.dead_letters_dir.iterdir()) == []
    assert [trace for trace in TRACES if trace in after] == []
    assert service.states() == {"bob@example.org": "confirmed"}


def test_what_stays_is_a_hash_and_numbers(service: Service) -> None:
    page = live(service)
    do(service, page, "erase", sure="yes")
    service.work()

    found = reading(service, lambda session: suppress.reasons(session, service.settings, [ADDRESS.lower()]))
    assert found == {ADDRESS.lower(): Reason.LEFT}
    assert service.rows("SELECT kind, way, network FROM consent_events WHERE after IS NULL") == [
        ("forget", "subscriber", None)
    ]
    assert service.rows("SELECT action FROM audit_events WHERE action LIKE 'subscriber%'") == []
    assert service.one("SELECT sum(number) FROM tallies WHERE kind = 'sign_up'") == 2
    # The file that waited is gone, and says why.
    assert service.rows("SELECT state, error FROM imports WHERE error IS NOT NULL") == [
        ("cancelled", traces.FILE_REMOVED)
    ]
    assert service.rows("SELECT number FROM import_chunks") == []


def test_links_of_somebody_who_is_erased_open_nothing_and_the_way_back_is_a_confirmation(
    service: Service,
) -> None:
    mail = service.confirmed(ADDRESS)
    page = whole_path(service, ADDRESS)
    do(service, page, "erase", sure="yes")

    assert service.client.get(page).status_code == 410
    assert do(service, page, "erase", sure="yes").status_code == 410
    assert service.client.get(f"{page}/copy").status_code == 410
    assert service.client.post(path(mail.link("confirm"))).status_code == 410
    assert service.client.post(path(mail.link("unsubscribe"))).status_code == 200
    assert service.counts()["subscribers"] == 0
    service.confirmed(ADDRESS)
    assert service.states() == {ADDRESS: "confirmed"}
    assert service.client.get(page).status_code == 410  # that is another person now


def test_who_complained_and_erases_themself_is_kept_from_mail_for_good(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ADDRESS)
    page = whole_path(on_sqlite, ADDRESS)
    on_sqlite.write("UPDATE subscriptions SET state = 'complained'")

    assert "never mailed again" in do(on_sqlite, page, "erase").text
    do(on_sqlite, page, "erase", sure="yes")

    on_sqlite.sign_up(ADDRESS)
    assert on_sqlite.states() == {}


@pytest.mark.parametrize(
    "pasted", ["mailto:Ann%40Example.org?x", "<ANN＠example.org>", "ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ"]
)
def test_a_file_that_waits_is_found_by_an_address_as_people_paste_it(on_sqlite: Service, pasted: str) -> None:
    on_sqlite.confirmed("ann@example.org")
    uploaded(on_sqlite, f"email\n{pasted}\n")

    do(on_sqlite, whole_path(on_sqlite, "ann@example.org"), "erase", sure="yes")

    assert on_sqlite.one("SELECT state FROM imports") == "cancelled"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_file_that_waits_is_found_in_any_encoding_and_across_its_parts(
    on_sqlite: Service, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.services.importing.files.CHUNK", 16)
    on_sqlite.confirmed("änn@example.org")
    uploaded(on_sqlite, "email\nbob@example.org\nÄNN@Example.org\n".encode(encoding))
    other = uploaded(on_sqlite, "email\nbob@example.org\n".encode(encoding))

    do(on_sqlite, whole_path(on_sqlite, "änn@example.org"), "erase", sure="yes")

    states = {UUID(str(key)): state for key, state in on_sqlite.rows("SELECT id, state FROM imports")}
    assert states.pop(other) == "uploaded"
    assert list(states.values()) == ["cancelled"]


def test_an_address_from_before_a_change_leaves_no_trace_and_no_file_brings_it_back(service: Service) -> None:
    service.confirmed(ADDRESS)
    imported(service, f"email\n{ADDRESS}\n{ADDRESS}\n", statement="They asked for it")
    do(service, whole_path(service, ADDRESS), "address", email=NEW_ADDRESS)
    new = path(service.mail_to(NEW_ADDRESS)[-1].link("new-address")).removesuffix("/stop")
    assert service.client.post(new).status_code == 200
    service.age(minutes=11)
    do(service, whole_path(service, NEW_ADDRESS), "erase", sure="yes")

    assert service.rows("SELECT text FROM import_refusals WHERE text <> ''") == []
    imported(service, f"email\n{ADDRESS}\n{NEW_ADDRESS}\n", statement="They asked for it")
    assert service.states() == {}


@pytest.mark.parametrize(
    "address", ["jörg@xn--bcher-kva.example", "jo\u0308rg@bücher.example", "JÖRG@bücher.example"]
)
def test_other_spellings_of_the_address_go_as_well(on_sqlite: Service, address: str) -> None:
    rows = f"{address},nonsense\nbob@example.org,2026-01-01\n"
    imported(on_sqlite, f"email,created_at\n{rows}", statement="They asked for it")
    kept = "SELECT count(*) FROM import_refusals WHERE text <> '' OR record IS NOT NULL"
    assert on_sqlite.one(kept) == 1
    erased = parse_address("jörg@bücher.example")
    writing(
        on_sqlite,
        lambda session: traces.remove(session, on_sqlite.settings, now(), erased.text, erased.identity),
    )

    assert on_sqlite.one(kept) == 0
