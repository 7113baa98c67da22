"""The ledger: whatever is done to an event behind the service's back, verifying finds it and names it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import flask_migrate
from click.testing import Result
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from newsletter.extensions import db
from newsletter.paths import MIGRATIONS
from newsletter.services import subscribers
from newsletter.services.access import COMMAND_LINE
from newsletter.services.exports import Format
from newsletter.services.ledger import Fault, histories, verifying
from tests.support.acting import writing
from tests.support.evidence import chain, checked, erase, faults, list_id, named, new_list, sign_ups, tamper
from tests.support.exporting import exported
from tests.support.importing import imported
from tests.support.service import Service, eventually, now, path, process_environment

# What each column of an event can be made to say instead.
ALTERED = {
    "id": "id + 1000000",
    "subscription_id": "(SELECT subscription_id FROM consent_events WHERE seq = 1)",
    "kind": "'confirm'",
    "before": "'bounced'",
    "after": "NULL",
    "at": "'2020-01-01T00:00:00.000000Z'",
    "way": "'page'",
    "wording": "NULL",
    "origin": "NULL",
    "page": "''",
    "network": "'192.0.2.2'",
    "agent": "'firefox'",
    "message_id": "NULL",
    "seq": "-seq",
}
# What can be done to the ledger itself, to the page of event `seq` or to the end of its list.
LEDGER_ALTERED = {
    "a page is removed": "DELETE FROM ledger_pages WHERE seq = :seq",
    "a page is renumbered": "UPDATE ledger_pages SET seq = -seq WHERE seq = :seq",
    "a page is counted otherwise": "UPDATE ledger_pages SET entries = entries + 1 WHERE seq = :seq",
    "a page has another's lines": "UPDATE ledger_pages SET lines = (SELECT lines FROM ledger_pages WHERE seq = 1) WHERE seq = :seq",
    "a page has another's salts": "UPDATE ledger_pages SET salts = (SELECT salts FROM ledger_pages WHERE seq = 1) WHERE seq = :seq",
    "a page has another's link": "UPDATE ledger_pages SET link = (SELECT link FROM ledger_pages WHERE seq = 1) WHERE seq = :seq",
    "a page without lines": "UPDATE ledger_pages SET lines = substr(lines, 1, 0) WHERE seq = :seq",
    "a page with half a line": "UPDATE ledger_pages SET lines = substr(lines, 1, 20) WHERE seq = :seq",
    "the head is removed": "DELETE FROM ledger_heads WHERE list_id = :list",
    "the head is set back": "UPDATE ledger_heads SET entries = entries - 1, seq = seq - 1 WHERE list_id = :list",
    "the head has another's seal": "UPDATE ledger_heads SET seal = link WHERE list_id = :list",
    "the head has another's link": "UPDATE ledger_heads SET link = seal WHERE list_id = :list",
}  # fmt: skip
TORN_OUT = {
    "one in the middle": ["DELETE FROM consent_events WHERE seq = :seq"],
    "one and its page": [
        "DELETE FROM consent_events WHERE seq = :seq", "DELETE FROM ledger_pages WHERE seq = :seq",
    ],
    "all after it": ["DELETE FROM consent_events WHERE list_id = :list AND seq > :seq"],
    "all after it, and their pages": [
        "DELETE FROM consent_events WHERE list_id = :list AND seq > :seq",
        "DELETE FROM ledger_pages WHERE list_id = :list AND seq > :seq",
    ],
    "all, and the pages": [
        "DELETE FROM consent_events WHERE list_id = :list", "DELETE FROM ledger_pages WHERE list_id = :list",
    ],
}  # fmt: skip
_STILL_HERE = "the event was removed as if erased, but its subscription left more than that"
COPY = (
    "INSERT INTO consent_events (list_id, subscription_id, kind, after, at, way, seq) "
    "SELECT list_id, subscription_id, kind, after, at, way, {seq} FROM consent_events WHERE seq = :seq"
)


def _three(service: Service) -> tuple[str, int]:
    """A list with three events on three pages, and the number of the second."""
    slug = new_list(service)
    for _ in range(3):
        sign_ups(service, slug)
        chain(service)
    assert faults(service, slug) == []
    return slug, service.one("SELECT max(seq) FROM consent_events") - 1


def _do(service: Service, statement: str, slug: str, seq: int) -> None:
    whose = list_id(service, slug)
    values = {"seq": seq, "list": whose if service.on_postgresql else whose.hex}
    service.write(statement, **{name: value for name, value in values.items() if f":{name}" in statement})


def test_what_visitors_do_is_as_it_was_stored(service: Service) -> None:
    mail = service.confirmed("ann@example.org")
    service.client.post(path(mail.link("unsubscribe")))
    service.sign_up("ann@example.org")
    service.work()

    assert faults(service, "daily") == []
    assert sum(part.intact for part in checked(service, "daily")) == 4


def test_each_altered_column_is_found_and_its_event_is_named(service: Service) -> None:
    found = {}
    for column, value in ALTERED.items():
        slug, seq = _three(service)
        _do(service, f"UPDATE consent_events SET {column} = {value} WHERE seq = :seq", slug, seq)
        found[column] = seq in named(service, slug)
        _do(service, f"UPDATE consent_events SET seq = {seq} WHERE seq = -:seq", slug, seq)

    assert found == dict.fromkeys(ALTERED, True)


def test_an_event_that_was_moved_to_another_list_is_named_on_both(service: Service) -> None:
    slug, seq = _three(service)
    other, _ = _three(service)
    to = list_id(service, other)
    service.write(
        "UPDATE consent_events SET list_id = :to WHERE seq = :seq",
        to=to if service.on_postgresql else to.hex,
        seq=seq,
    )

    assert set(named(service, slug)) == set(named(service, other)) == {seq}


def test_words_that_were_altered_are_found_with_every_event_that_showed_them(service: Service) -> None:
    slug, seq = _three(service)
    service.write("UPDATE wordings SET text = 'You agreed to everything'")

    assert named(service, slug) == [seq - 1, seq, seq + 1]


def test_what_is_done_to_the_ledger_itself_is_found(service: Service) -> None:
    found = {}
    for what, statement in LEDGER_ALTERED.items():
        slug, seq = _three(service)
        _do(service, statement, slug, seq)
        found[what] = bool(named(service, slug))

    assert found == dict.fromkeys(LEDGER_ALTERED, True)


def test_events_that_were_removed_are_missed(service: Service) -> None:
    found = {}
    for what, statements in TORN_OUT.items():
        slug, seq = _three(service)
        for statement in statements:
            _do(service, statement, slug, seq)
        found[what] = named(service, slug)[0] - seq in (0, 1)

    assert found == dict.fromkeys(TORN_OUT, True)


def test_an_event_that_was_inserted_is_named(service: Service) -> None:
    found, expected = {}, {}
    for number in ("seq", "seq - 1", "1000000"):
        slug, seq = _three(service)
        _do(service, COPY.format(seq=number), slug, seq)
        found[number] = min(named(service, slug))
        expected[number] = {"seq": seq, "seq - 1": seq - 1, "1000000": 1000000}[number]
        service.write("DELETE FROM consent_events WHERE seq = 1000000")

    assert found == expected


def test_what_no_event_can_hold_is_found_like_anything_else(on_sqlite: Service) -> None:
    slug, seq = _three(on_sqlite)
    whose = list_id(on_sqlite, slug)
    found = []
    for column in ("at", "subscription_id", "seq"):
        tamper(
            on_sqlite, f"UPDATE consent_events SET {column} = 'nothing' WHERE seq = :seq", seq=seq, list=whose
        )
        found.append(seq in named(on_sqlite, slug))
    for column in ("lines", "salts", "link", "entries", "seq"):
        tamper(
            on_sqlite, f"UPDATE ledger_pages SET {column} = 'nothing' WHERE seq = :seq", seq=seq, list=whose
        )
        found.append(bool(faults(on_sqlite, slug)))
    for column in ("seal", "link", "entries", "seq"):
        tamper(
            on_sqlite,
            f"UPDATE ledger_heads SET {column} = 'nothing' WHERE list_id = :list",
            seq=seq,
            list=whose,
        )
        found.append(bool(faults(on_sqlite, slug)))

    assert all(found)


def test_erasing_keeps_the_chain_whole_and_nothing_by_which_the_event_could_be_told(service: Service) -> None:
    slug = new_list(service)
    ann, *_ = sign_ups(service, slug, 3)
    chain(service)
    erase(service, slug, [ann])
    before_the_worker_comes = faults(service, slug)
    chain(service)

    (intact, erased) = (
        sum(counts) for counts in zip(*((p.intact, p.erased) for p in checked(service, slug)), strict=True)
    )
    assert (before_the_worker_comes, faults(service, slug)) == ([], [])
    assert (intact, erased) == (3, 1)  # two sign-ups, and the event that says that one was forgotten
    salts = bytes(service.one("SELECT salts FROM ledger_pages WHERE entries = 3"))
    assert [salts[at : at + 16] == bytes(16) for at in (0, 16, 32)] == [True, False, False]


def test_who_is_erased_before_the_worker_came_is_not_missed(service: Service) -> None:
    slug = new_list(service)
    ann, _ = sign_ups(service, slug, 2)
    erase(service, slug, [ann])
    chain(service)

    assert faults(service, slug) == []


def test_an_erasure_excuses_nobody_else_and_nothing_later(service: Service) -> None:
    slug = new_list(service)
    ann, _ = sign_ups(service, slug, 2)
    chain(service)
    erase(service, slug, [ann])
    chain(service)
    forgotten = service.one("SELECT max(seq) FROM consent_events")
    service.write("DELETE FROM consent_events WHERE seq = :seq", seq=forgotten - 1)
    of_another = named(service, slug)
    service.write("DELETE FROM consent_events WHERE seq = :seq", seq=forgotten)

    assert of_another == [forgotten - 1]
    # Without the event that tells of it, an erasure is a removal.
    assert named(service, slug) == [forgotten - 2, forgotten - 1, forgotten]


def _forge_an_erasure(service: Service, subscription: str) -> None:
    service.write(
        "INSERT INTO consent_events (list_id, subscription_id, kind, before, at, way) "
        "SELECT list_id, id, 'forget', state, created_at, 'page' FROM subscriptions WHERE id = :id",
        id=subscription,
    )


def test_an_erasure_excuses_nothing_of_a_subscription_that_is_still_here(service: Service) -> None:
    service.client.post(path(service.confirmed("ann@example.org").link("unsubscribe")))
    service.work()
    subscription = service.one("SELECT id FROM subscriptions")
    service.write("DELETE FROM consent_events WHERE kind = 'unsubscribe'")
    service.write("UPDATE subscriptions SET state = 'confirmed', unsubscribed_at = NULL")
    _forge_an_erasure(service, subscription)
    before_the_worker_comes = named(service, "daily")
    service.work()

    assert 3 in before_the_worker_comes
    assert Fault(3, _STILL_HERE) in faults(service, "daily")


def test_an_erasure_excuses_no_history_that_was_written_anew(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.work()
    subscription = service.one("SELECT id FROM subscriptions")
    service.write("DELETE FROM consent_events")
    _forge_an_erasure(service, subscription)
    for kind, after in (("sign_up", "pending"), ("confirm", "confirmed")):
        service.write(
            "INSERT INTO consent_events (list_id, subscription_id, kind, after, at, way, network) "
            "SELECT list_id, id, :kind, :after, created_at, 'page', '192.0.2.66' FROM subscriptions",
            kind=kind,
            after=after,
        )
    service.work()
    as_it_is = faults(service, "daily")
    # Not even where the subscription itself was taken away.
    service.write("DELETE FROM outbox")
    service.write("DELETE FROM subscriptions")

    for said in (as_it_is, faults(service, "daily")):
        assert said[:2] == [Fault(1, _STILL_HERE), Fault(2, _STILL_HERE)]


def test_a_state_that_no_event_led_to_is_found(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.sign_up("bob@example.org")
    service.client.post(path(service.confirmed("eve@example.org").link("unsubscribe")))
    service.work()
    as_they_were = service.rows("SELECT id, state FROM subscriptions ORDER BY id")
    whole = faults(service, "daily")
    found = {}
    for subscription, state in as_they_were:
        for other in {"pending", "confirmed", "unsubscribed"} - {state}:
            service.write("UPDATE subscriptions SET state = :s WHERE id = :id", s=other, id=subscription)
            found[state, other] = [
                fault.what.partition(" is ")[2] for fault in faults(service, "daily") if fault.seq
            ]
        service.write("UPDATE subscriptions SET state = :s WHERE id = :id", s=state, id=subscription)

    assert whole == faults(service, "daily") == []
    assert len(found) == 6
    assert found == {
        (state, other): [f"{other}, but its newest event left it {state}"] for state, other in found
    }


def test_a_subscription_that_nothing_tells_of_is_found(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.write("DELETE FROM consent_events")
    (fault,) = faults(service, "daily")
    told = service.app.test_cli_runner().invoke(args=["verify-ledger", "daily"])

    assert fault.seq is None
    assert fault.what.endswith("is pending, but it has no event")
    assert f"daily: {fault.what}\n" in told.stderr


def test_who_comes_back_by_an_archive_is_another_subscription_than_the_one_that_was_erased(
    service: Service,
) -> None:
    service.confirmed("ann@example.org")
    service.work()
    archive = exported(service, format=Format.ARCHIVE)
    (erased,) = service.rows("SELECT id FROM subscriptions")
    writing(
        service,
        lambda session: subscribers.erase(
            session, service.settings, now(), COMMAND_LINE, UUID(str(erased[0])), way="operator"
        ),
    )
    service.work()
    imported(service, archive)
    service.work()

    assert service.states() == {"ann@example.org": "confirmed"}
    assert service.rows("SELECT id FROM subscriptions") != [erased]
    assert faults(service, "daily") == []


_TAMPERING = st.sampled_from(
    [f"UPDATE consent_events SET {column} = {value} WHERE seq = :seq" for column, value in ALTERED.items()]
    + ["DELETE FROM consent_events WHERE seq = :seq", COPY.format(seq="seq")]
)


def test_any_history_verifies_until_something_is_done_to_it(service: Service) -> None:
    _three(service)  # of another list is the first event, which some tampering copies from

    @settings(
        max_examples=12,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(st.sampled_from(["sign up", "sign up", "erase", "chain", "chain a few"]), max_size=10),
        _TAMPERING,
        st.randoms(use_true_random=False),
    )
    def holds(steps: list[str], tampering: str, chance: object) -> None:
        slug = new_list(service)
        people: list[UUID] = []
        for step in steps:
            if step == "sign up":
                people += sign_ups(service, slug, 2)
            elif step == "erase" and people:
                erase(service, slug, [people.pop(chance.randrange(len(people)))])  # type: ignore[attr-defined]
            elif step == "chain":
                chain(service)
            else:
                chain(service, limit=3)
        for _ in range(6):
            chain(service)
        assert faults(service, slug) == []
        whose = list_id(service, slug)
        stored = service.rows(
            "SELECT seq FROM consent_events WHERE list_id = :list ORDER BY seq",
            list=whose if service.on_postgresql else whose.hex,
        )
        if not stored:
            return
        (seq,) = chance.choice(stored)  # type: ignore[attr-defined]
        kind = service.one("SELECT kind FROM consent_events WHERE seq = :seq", seq=seq)
        if kind == "forget" and any(
            f"SET {same} = NULL" in tampering for same in ("after", "wording", "origin", "message_id")
        ):
            return  # it has none
        _do(service, tampering, slug, seq)
        assert seq in named(service, slug), tampering
        _do(service, f"UPDATE consent_events SET seq = {seq} WHERE seq = -:seq", slug, seq)

    holds()


def test_what_an_older_version_numbered_is_chained_by_the_worker(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.work()
    with service.app.app_context():
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0003")
        flask_migrate.upgrade(directory=str(MIGRATIONS))
    service.sign_up("bob@example.org")
    for _ in range(3):
        chain(service, limit=1)  # as if the worker died in between
    service.work()

    assert faults(service, "daily") == []
    assert sum(part.intact for part in checked(service, "daily")) == 3


def test_an_archive_brings_its_history_into_the_ledger(
    on_sqlite: Service, make_service: Callable[..., Service]
) -> None:
    on_sqlite.confirmed("ann@example.org")
    other = make_service("postgresql")
    imported(other, exported(on_sqlite, format=Format.ARCHIVE))
    other.work()

    assert faults(other, "daily") == []


def test_many_workers_at_once_give_each_event_one_line(service: Service) -> None:
    slug = new_list(service)
    sign_ups(service, slug, 60)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: chain(service, limit=7), range(30)))
    chain(service)

    assert faults(service, slug) == []
    assert sum(part.intact for part in checked(service, slug)) == 60


def test_killing_the_worker_in_the_middle_leaves_a_whole_ledger(service: Service) -> None:
    slug = new_list(service)
    sign_ups(service, slug, 6000)
    with subprocess.Popen(
        [sys.executable, "-m", "newsletter", "worker"],
        env=process_environment(service.environ),
        stderr=subprocess.DEVNULL,
    ) as worker:
        eventually(lambda: service.one("SELECT chained FROM journal"))
        worker.send_signal(signal.SIGKILL)
    service.work()

    assert faults(service, slug) == []
    assert sum(part.intact for part in checked(service, slug)) == 6000


def test_the_command_says_by_its_exit_status_and_by_name_what_is_wrong(on_sqlite: Service) -> None:
    on_sqlite.confirmed("ann@example.org")
    on_sqlite.work()
    whole = on_sqlite.app.test_cli_runner().invoke(args=["verify-ledger"])
    on_sqlite.write("UPDATE consent_events SET network = '192.0.2.9' WHERE seq = 2")
    broken = on_sqlite.command("verify-ledger", "daily", check=False)

    assert (whole.exit_code, whole.stdout) == (0, "daily: 2 events as stored\n")
    assert broken.returncode == 1
    assert broken.stderr == (
        "daily: event 2: the event was altered\n"
        "newsletter: the evidence is not as it was stored: 1 fault, see above\n"
    )


def test_a_head_that_was_kept_elsewhere_finds_a_ledger_that_was_written_anew(
    service: Service, tmp_path: Path
) -> None:
    def verify(*options: str) -> Result:
        return service.app.test_cli_runner().invoke(args=["verify-ledger", *options])

    service.confirmed("ann@example.org")
    service.work()
    kept = tmp_path / "heads"
    kept.write_text(verify("--head").stdout)
    service.sign_up("bob@example.org")
    service.work()
    still = verify("--expect", str(kept))
    # Whoever has the database and the keys lets the service itself write it.
    service.write("UPDATE consent_events SET at = '2020-01-01T00:00:00.000000Z' WHERE seq = 1")
    service.write("DELETE FROM ledger_pages")
    service.write("DELETE FROM ledger_heads")
    service.write("UPDATE journal SET chained = 0")
    alone = verify()
    against = verify("--expect", str(kept))
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"entries": 1}))
    forged = verify("--expect", str(kept))

    assert (still.exit_code, alone.exit_code, against.exit_code, forged.exit_code) == (0, 0, 1, 1)
    assert "daily: event 2: the history up to here is another" in against.stderr
    assert "line 1: the head was changed" in str(forged.exception)


def test_the_worker_hides_no_break_and_numbers_on(service: Service) -> None:
    slug, seq = _three(service)
    service.write("DELETE FROM consent_events WHERE seq = :seq", seq=seq + 1)
    service.write("DELETE FROM ledger_pages WHERE seq = :seq", seq=seq + 1)
    service.write(
        "UPDATE ledger_heads SET seq = p.seq, entries = p.entries, link = p.link "
        "FROM ledger_pages p WHERE p.list_id = ledger_heads.list_id AND p.seq = :seq",
        seq=seq,
    )
    sign_ups(service, slug)
    service.work()
    stopped = faults(service, slug)
    service.app.test_cli_runner().invoke(args=["verify-ledger", "--go-on-after-a-break"])
    sign_ups(service, slug)
    service.work()

    assert stopped[0].what == "the seal of the ledger’s end was altered"
    assert service.one("SELECT count(*) FROM consent_events WHERE seq IS NULL") == 0
    assert service.one("SELECT seq - chained FROM journal") == 0
    assert named(service, slug) == [seq + 2]


def test_d2_the_ledger_of_keys_that_are_retired_verifies_and_that_of_lost_keys_does_not(
    service: Service,
) -> None:
    slug, seq = _three(service)
    retired = {"NEWSLETTER_SECRET_KEYS": "n" * 40, "NEWSLETTER_RETIRED_KEYS": "k" * 40}
    later = Service(service.environ | retired, service.sink)
    sign_ups(later, slug)
    chain(later)
    lost = Service(service.environ | {"NEWSLETTER_SECRET_KEYS": "n" * 40}, service.sink)

    assert faults(later, slug) == []
    assert named(lost, slug)[0] == seq - 1


def test_verifying_walks_a_list_once_and_looks_up_the_rest_by_subscription(on_sqlite: Service) -> None:
    """What is asked for each stretch of a million events must not walk all of them again."""
    for query in (histories._HISTORIES, verifying._FORGOTTEN):
        with on_sqlite.app.app_context(), db.engine.connect() as connection:
            prepared = query._prepare(connection.dialect)
            plan = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {prepared.sql}", tuple("[]" for _ in prepared.names)
            ).all()
        told = [row.detail for row in plan if "consent_events" in row.detail]
        assert ["ix_consent_events_subscription_id" in line for line in told] == [True], told
