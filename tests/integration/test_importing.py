"""Importing: what becomes of each row, by what is there and what the file says."""

from __future__ import annotations

from datetime import datetime

import pytest

from newsletter.database import write_transaction
from newsletter.domain.lifecycle import IMPORTS, State
from newsletter.extensions import db
from newsletter.models import ImportState
from newsletter.services.access import COMMAND_LINE
from newsletter.services.importing import HasEnded, cancel_import, start_import
from newsletter.services.suppress import suppress
from tests.support.api import add_list
from tests.support.importing import STATED, found, imported, looked_at, reasons, started, uploaded
from tests.support.service import Service, now, path

HEADER = "email,name,state\n"


def test_with_a_statement_people_are_confirmed_and_it_is_kept_as_evidence(service: Service) -> None:
    done = imported(service, "email,name\nann@example.org,Ann\n", statement=STATED)

    assert done.state is ImportState.DONE
    assert done.report["added"] == {"confirmed": 1}
    assert service.states() == {"ann@example.org": "confirmed"}
    assert service.rows(
        "SELECT e.kind, e.before, e.after, e.way, w.text FROM consent_events e JOIN wordings w ON w.digest = e.wording"
    ) == [("import", None, "confirmed", "import", STATED)]
    assert service.rows("SELECT name, search, locale FROM subscribers") == [
        ("Ann", "ann@example.org ann", "en")
    ]


def test_without_a_statement_they_are_pending_whatever_the_file_says(service: Service) -> None:
    done = imported(service, HEADER + "ann@example.org,Ann,confirmed\nbob@example.org,Bob,\n")

    assert done.report["added"] == {"pending": 2}
    assert done.report["demoted"] == 1
    assert service.rows("SELECT state, confirmed_at FROM subscriptions") == [("pending", None)] * 2
    assert service.statuses() == []


def test_a_check_says_what_would_be_and_changes_nothing(service: Service) -> None:
    file = HEADER + "ann@example.org,Ann,confirmed\nnobody,X,\nann@example.org,A,\n"
    import_id = started(service, file, checks=True, statement=STATED)
    before = service.counts()
    service.work()
    checked = found(service, import_id)

    assert service.counts() == before
    assert checked.state is ImportState.CHECKED
    assert checked.report["added"] == {"confirmed": 1}
    assert checked.report["refused"] == 2
    assert reasons(service, import_id) == {
        3: "The @ sign is missing. An email address looks like ann@example.org.",
        4: "the address is in line 2 already",
    }


@pytest.mark.parametrize("there", [state for state in IMPORTS if state is not None])
def test_what_follows_from_each_state_is_what_the_table_says(service: Service, there: State) -> None:
    people = {named: f"{named}@example.org" for named in State}
    rows = "".join(f"{address},,{there}\n" for address in people.values())
    imported(service, HEADER + rows, statement=STATED)
    # A complaint suppresses the address; here it is the state alone that decides.
    service.write("DELETE FROM suppressions")

    imported(service, HEADER + "".join(f"{a},,{named}\n" for named, a in people.items()), statement=STATED)

    assert service.states() == {address: IMPORTS[there][named] for named, address in people.items()}
    moved = [n for n in State if IMPORTS[there][n] is not there]
    assert service.one("SELECT count(*) FROM consent_events WHERE before IS NOT NULL") == len(moved)


def test_who_left_and_was_signed_up_again_is_confirmed_by_nobody_but_themself(service: Service) -> None:
    """Anybody may type their address, and the file may be from before they left."""
    mail = service.confirmed("ann@example.org")
    service.client.post(path(mail.link("unsubscribe")))
    service.sign_up("ann@example.org")

    imported(service, HEADER + "ann@example.org,Ann,confirmed\n", statement=STATED)

    assert service.states() == {"ann@example.org": "pending"}
    service.age(minutes=11)
    again = service.mail_to("ann@example.org")[-1]
    assert service.client.post(path(again.link("confirm"))).status_code == 200
    assert service.states() == {"ann@example.org": "confirmed"}


def test_who_left_does_not_come_back_and_the_report_says_so(service: Service) -> None:
    imported(service, HEADER + "ann@example.org,,unsubscribed\nbob@example.org,,bounced\n")

    done = imported(service, "email\nann@example.org\nbob@example.org\n", statement=STATED)

    assert done.report["skipped"] == {"unsubscribed": 1, "bounced": 1}
    assert service.states() == {"ann@example.org": "unsubscribed", "bob@example.org": "bounced"}


@pytest.mark.parametrize("keys", ["k" * 40, f"{'k' * 40},{'n' * 40}"])
def test_suppressed_addresses_are_never_subscribed_under_any_key(service: Service, keys: str) -> None:
    with service.app.app_context(), write_transaction(db.session()):
        suppress(db.session(), service.settings, now(), "ann@example.org", reason="complaint")
    later = Service(service.environ | {"NEWSLETTER_SECRET_KEYS": keys}, service.sink)

    done = imported(later, "email\nAnn@example.org\nbob@example.org\n", statement=STATED)

    assert done.report["skipped"] == {"suppressed": 1}
    assert later.states() == {"bob@example.org": "confirmed"}
    assert later.one("SELECT count(*) FROM subscribers") == 1


def test_complaints_of_a_file_are_suppressed_from_then_on(service: Service) -> None:
    imported(service, HEADER + "ann@example.org,,complained\n")

    assert service.rows("SELECT reason FROM suppressions") == [("complaint",)]
    assert service.states() == {"ann@example.org": "complained"}
    assert imported(service, "email\nann@example.org\n", statement=STATED).report["skipped"] == {
        "suppressed": 1
    }


def test_whom_a_file_calls_suppressed_gets_nothing_unless_a_history_tells_how_they_stood(
    service: Service,
) -> None:
    file = "email,state,suppressed\nann@example.org,confirmed,yes\nbob@example.org,confirmed,no\n"

    imported(service, file, statement=STATED, mapping={"suppressed": "suppressed"})

    assert service.states() == {"ann@example.org": "unsubscribed", "bob@example.org": "confirmed"}
    assert service.rows("SELECT reason FROM suppressions") == [("import",)]


def test_a_complaint_of_a_file_ends_what_the_person_has_on_other_lists(service: Service) -> None:
    add_list(service, "sport")
    for email in ("ann@example.org", "bob@example.org"):
        service.confirmed(email, "sport")

    imported(service, HEADER + "ann@example.org,,complained\nbob@example.org,,unsubscribed\n")

    on_sport = (
        "SELECT p.address, s.state FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id "
        "JOIN mailing_lists l ON l.id = s.list_id WHERE l.slug = 'sport' ORDER BY p.address"
    )
    assert service.rows(on_sport) == [("ann@example.org", "complained"), ("bob@example.org", "confirmed")]
    assert service.rows("SELECT before, after, way FROM consent_events WHERE kind = 'complain'") == [
        ("confirmed", "complained", "import")
    ]


def test_addresses_of_a_file_are_taken_as_people_paste_them_and_each_person_once(on_sqlite: Service) -> None:
    import_id = started(
        on_sqlite,
        'email,note\n\u200bmailto:ann@example.org?subject=x\u00a0,\n"Ann <ANN@example.org>",\n'
        'bob\uff20example.org.,\n"bob@example,org",\ncan@exa\u200bmple.org,\n',
    )
    on_sqlite.work()

    assert on_sqlite.states() == {"ann@example.org": "pending", "bob@example.org": "pending"}
    assert reasons(on_sqlite, import_id) == {
        3: "the address is in line 2 already",
        5: "There is a comma after “bob@example”. Should it be a dot?",
        6: "There is an invisible character (U+200B) after “can@exa”. Please delete it, or type the address again.",
    }


def test_names_and_attributes_of_who_is_known_are_filled_in_where_they_are_empty(service: Service) -> None:
    imported(service, 'email,attributes\nann@example.org,"{""city"":""Ulm""}"\nbob@example.org,\n')
    service.write("UPDATE subscribers SET name = 'Bob' WHERE address = 'bob@example.org'")

    done = imported(
        service, "email,name,city,plan\nann@example.org,Änn,Bonn,gold\nbob@example.org,Robert,,\n"
    )

    assert done.report["filled"] == 1
    assert done.report["unchanged"] == 1
    assert service.rows(
        "SELECT name, search, CAST(attributes AS text) FROM subscribers ORDER BY address"
    ) == [
        ("Änn", "ann@example.org änn", '{"city":"Ulm","plan":"gold"}'),
        ("Bob", "bob@example.org", "{}"),
    ]
    assert service.rows("SELECT kind, before, after FROM consent_events WHERE before IS NOT NULL") == [
        ("import", "pending", "pending")
    ]


def test_a_person_of_another_list_is_subscribed_to_this_one_as_well(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.write(
        "INSERT INTO mailing_lists (id, slug, name, sites, return_urls, created_at) "
        "SELECT :id, 'sport', 'Sport', sites, return_urls, created_at FROM mailing_lists",
        id="0" * 32,
    )
    import_id = uploaded(service, "email\nAnn@example.org\n", slug="sport")
    with service.app.app_context(), write_transaction(db.session()):
        options = looked_at(service, import_id).options(statement=STATED)
        start_import(db.session(), now(), COMMAND_LINE, import_id, options)
    service.work()

    assert service.counts()["subscribers"] == 1
    assert [state for (state,) in service.rows("SELECT state FROM subscriptions ORDER BY state")] == [
        "confirmed", "pending",
    ]  # fmt: skip


def test_who_leaves_by_a_file_gets_no_mail_that_was_waiting(service: Service) -> None:
    service.sign_up("ann@example.org")

    imported(service, HEADER + "ann@example.org,,unsubscribed\n")

    assert service.statuses() == ["cancelled"]
    assert service.mail_to("ann@example.org") == []


def test_pending_people_are_asked_so_many_an_hour(service: Service) -> None:
    file = "email\n" + "".join(f"u{number}@example.org\n" for number in range(5))
    done = imported(service, file, ask_per_hour=2)
    service.send_mail()

    assert done.report["asked"] == 5
    assert [mail.recipient for mail in service.sink.mails] == ["u0@example.org"]
    service.age(hours=1)
    service.send_mail()
    assert len(service.sink.mails) == 3
    service.age(hours=1)
    service.send_mail()
    assert [mail.recipient for mail in service.sink.mails] == [
        f"u{number}@example.org" for number in range(5)
    ]


def _due(service: Service) -> list[float]:
    """When each confirmation is due, in hours from the first."""
    rows = service.rows("SELECT next_attempt_at FROM outbox WHERE status = 'queued' ORDER BY 1")
    moments = [datetime.fromisoformat(str(moment)) for (moment,) in rows]
    return [round((moment - moments[0]).total_seconds() / 3600, 1) for moment in moments]


def test_the_asks_of_a_second_import_into_a_list_come_after_those_of_the_first(service: Service) -> None:
    add_list(service, "sport")
    for letter in "ab":
        imported(service, f"email\n{letter}1@example.org\n{letter}2@example.org\n", ask_per_hour=2)
    assert _due(service) == [0, 0.5, 1, 1.5]

    imported(service, "email\nc@example.org\n", slug="sport", ask_per_hour=2)

    assert _due(service) == [0, 0, 0.5, 1, 1.5]


def test_cancelling_an_import_that_is_done_ends_its_asks_but_not_those_that_readers_asked_for(
    service: Service,
) -> None:
    file = "email\n" + "".join(f"u{number}@example.org\n" for number in range(4))
    done = imported(service, file, ask_per_hour=1)
    imported(service, "email\nother@example.org\n", ask_per_hour=1)
    service.send_mail()
    service.sign_up("u2@example.org")

    with service.app.app_context(), write_transaction(db.session()):
        cancel_import(db.session(), now(), COMMAND_LINE, done.id)
    service.send_mail()

    assert [mail.recipient for mail in service.sink.mails] == ["u0@example.org", "u2@example.org"]
    assert sorted(service.statuses()) == ["cancelled", "cancelled", "queued", "sent", "sent"]
    assert found(service, done.id).report["asks_cancelled"] == 2
    assert found(service, done.id).state is ImportState.DONE
    with service.app.app_context(), pytest.raises(HasEnded, match="ended already"):
        cancel_import(db.session(), now(), COMMAND_LINE, done.id)


def test_who_signs_up_meanwhile_does_not_wait_for_the_turn_that_the_import_gave_them(
    service: Service,
) -> None:
    file = "email\n" + "".join(f"u{number}@example.org\n" for number in range(3))
    imported(service, file, ask_per_hour=1)
    service.send_mail()

    service.sign_up("u2@example.org")
    service.send_mail()

    assert [mail.recipient for mail in service.sink.mails] == ["u0@example.org", "u2@example.org"]
    assert service.statuses().count("queued") == 1


@pytest.mark.parametrize(
    "written", ["018d5e88-3000-76bb-8478-6839cc7907c6", "018D5E88300076BB84786839CC7907C6"]
)
def test_the_dates_and_ids_of_a_file_are_kept(service: Service, written: str) -> None:
    file = (
        "id,email,name,state,locale,source,created_at,confirmed_at,unsubscribed_at,attributes\n"
        f"{written},ann@example.org,Ann,unsubscribed,de,form,2024-01-31,"
        "2024-02-01T08:00:00+01:00,2024-03-01 08:00:00 UTC,{}\n"
    )
    imported(service, file)

    ((identifier, *moments),) = service.rows(
        "SELECT id, created_at, confirmed_at, unsubscribed_at FROM subscriptions"
    )
    assert str(identifier).replace("-", "") == "018d5e88300076bb84786839cc7907c6"
    assert [str(moment)[:19].replace("T", " ") for moment in moments] == [
        "2024-01-31 00:00:00", "2024-02-01 07:00:00", "2024-03-01 08:00:00",
    ]  # fmt: skip
    assert service.rows("SELECT locale FROM subscribers") == [("de",)]


def test_an_id_that_is_taken_is_not_taken_twice(service: Service) -> None:
    row = "018d5e88300076bb84786839cc7907c6,{},,confirmed,en,form,,,,\n"
    header = "id,email,name,state,locale,source,created_at,confirmed_at,unsubscribed_at,attributes\n"
    imported(service, header + row.format("ann@example.org") + row.format("bob@example.org"))

    done = imported(service, header + row.format("cem@example.org"))

    assert done.state is ImportState.DONE
    assert len(service.states()) == 3


def test_the_journal_counts_what_was_imported(service: Service) -> None:
    imported(
        service, HEADER + "ann@example.org,,confirmed\nbob@example.org,,unsubscribed\n", statement=STATED
    )

    assert sorted(service.rows("SELECT after, number FROM tallies")) == [
        ("confirmed", 1),
        ("unsubscribed", 1),
    ]
