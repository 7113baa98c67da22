"""What may say who left stops an import until the operator has said what it means."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from newsletter.models import ImportState
from newsletter.services.importing import ImportFault
from newsletter.services.importing.judging import Undecided
from tests.support.importing import (
    STATED,
    found,
    imported,
    looked_at,
    reasons,
    start,
    started,
    uploaded,
)
from tests.support.service import Service


def rows(*lines: tuple[str, ...]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(lines)
    return file.getvalue()


@pytest.mark.parametrize(
    ("column", "leaves", "stays", "state"),
    [
        ("Email Opt-Out", "x", "", "unsubscribed"),
        ("Newsletter erwünscht", "nein", "ja", "unsubscribed"),
        ("Plainte reçue le", "31/01/2026", "", "complained"),
        ("BounceReason", "mailbox unknown", "", "bounced"),
        ("Kurs 3", "Abgemeldet", "Angemeldet", "unsubscribed"),
        ("Confirmed", "0", "1", "pending"),
    ],
)
def test_nobody_is_confirmed_by_a_file_before_its_column_is_spoken_of(
    on_sqlite: Service, column: str, leaves: str, stays: str, state: str
) -> None:
    data = rows(("email", column), ("gone@example.org", leaves), ("here@example.org", stays))
    import_id = uploaded(on_sqlite, data)
    seen = looked_at(on_sqlite, import_id)

    assert column not in seen.mapping
    assert any(column in note and leaves in note for note in seen.notes)
    with pytest.raises(Undecided, match="may say who left") as undecided:
        start(on_sqlite, import_id, seen.options(statement=STATED))
    assert [question.column for question in undecided.value.questions] == [column]

    start(on_sqlite, import_id, seen.options(mapping=seen.mapping | {column: "left"}, statement=STATED))
    on_sqlite.work()
    assert on_sqlite.states() == {"gone@example.org": state, "here@example.org": "confirmed"}


@pytest.mark.parametrize(
    "named", ["Unsubscribed email", "Bounced Address", "Blacklist", "Adresses désabonnées"]
)
@pytest.mark.parametrize("others", [(), ("Name",)])
def test_a_heading_over_the_addresses_that_speaks_of_who_left_is_asked_about(
    on_sqlite: Service, named: str, others: tuple[str, ...]
) -> None:
    import_id = uploaded(on_sqlite, rows((named, *others), ("ann@example.org", *others)))
    seen = looked_at(on_sqlite, import_id)

    with pytest.raises(ImportFault, match="may say who left"):
        start(on_sqlite, import_id, seen.options(statement=STATED))
    with pytest.raises(ImportFault, match="one column must be the email address"):
        start(on_sqlite, import_id, seen.options(mapping=seen.mapping | {named: "ignore"}, statement=STATED))
    assert on_sqlite.rows("SELECT id FROM subscribers") == []

    start(on_sqlite, import_id, seen.options(mapping=seen.mapping | {named: "email"}, statement=STATED))
    on_sqlite.work()
    assert on_sqlite.rows("SELECT state FROM subscriptions") == [("confirmed",)]


def test_of_several_columns_each_counts_and_the_one_that_leaves_most(service: Service) -> None:
    data = rows(
        ("email", "status", "Bounced", "Opted out", "Complaints"),
        ("a@example.org", "active", "no", "no", "0"),
        ("b@example.org", "active", "yes", "no", ""),
        ("c@example.org", "bounced", "yes", "yes", ""),
        ("d@example.org", "active", "yes", "yes", "1"),
        ("e@example.org", "pending", "no", "no", "0"),
    )

    imported(
        service, data, statement=STATED,
        mapping={"Bounced": "left", "Opted out": "left", "Complaints": "left"},
    )  # fmt: skip

    assert service.states() == {
        "a@example.org": "confirmed", "b@example.org": "bounced", "c@example.org": "unsubscribed",
        "d@example.org": "complained", "e@example.org": "pending",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("filename", "data", "warned"),
    [
        ("unsubscribed_members_export.csv", "email,town\nann@example.org,Basel\n", True),
        ("nonsubscribed_audience.csv", "email\nann@example.org\n", True),
        ("Abmeldungen 2026.csv", "email\nann@example.org\n", True),
        ("bounces.csv", "email,status\nann@example.org,bounced\n", False),
        ("subscribers.csv", "email\nann@example.org\n", False),
    ],
)
def test_a_file_that_is_called_by_those_who_left_is_warned_of_where_nothing_in_it_says_so(
    on_sqlite: Service, filename: str, data: str, warned: bool
) -> None:
    seen = looked_at(on_sqlite, uploaded(on_sqlite, data, filename))

    assert any(filename in note for note in seen.notes) is warned


def test_a_state_does_not_outvote_what_else_says_that_somebody_left(on_sqlite: Service) -> None:
    data = rows(
        ("email", "status", "subscribed", "confirmed_at", "unsubscribed_at"),
        ("a@example.org", "active", "yes", "2026-01-01", ""),
        ("b@example.org", "active", "no", "2026-01-01", ""),
        ("c@example.org", "active", "", "2026-01-01", "2026-01-31"),
        ("d@example.org", "active", "yes", "2026-03-01", "2026-01-31"),  # and came back
        ("e@example.org", "bounced", "yes", "", ""),
    )

    imported(on_sqlite, data, statement=STATED)

    assert on_sqlite.states() == {
        "a@example.org": "confirmed", "b@example.org": "unsubscribed", "c@example.org": "unsubscribed",
        "d@example.org": "confirmed", "e@example.org": "bounced",
    }  # fmt: skip


def test_what_the_operator_says_of_a_cell_counts_and_what_nobody_can_tell_is_refused(
    service: Service,
) -> None:
    data = rows(
        ("email", "Status"),
        ("a@example.org", "active"),
        ("b@example.org", "Inactive"),
        ("c@example.org", "vip"),
        ("d@example.org", "lapsed"),
    )
    values = {"Status": {"inactive": "unsubscribed", "VIP": "confirmed"}}

    import_id = started(service, data, statement=STATED, values=values)
    service.work()

    assert service.states() == {
        "a@example.org": "confirmed", "b@example.org": "unsubscribed", "c@example.org": "confirmed",
    }  # fmt: skip
    assert "'lapsed' in the column 'Status' says neither" in reasons(service, import_id)[5]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"values": {"x": {"a": "gone"}}, "mapping": {"x": "left"}}, "cannot mean 'gone'"),
        ({"values": {"email": {"a": "unsubscribed"}}}, "only cells of state and left"),
        ({"values": {"nope": {"a": "unsubscribed"}}}, "no column 'nope'"),
    ],
)
def test_meanings_that_make_no_sense_are_refused(
    on_sqlite: Service, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ImportFault, match=said):
        started(on_sqlite, "email,x\nann@example.org,a\n", **options)


@pytest.mark.parametrize("checks", [True, False])
@pytest.mark.parametrize(
    ("column", "before", "word"),
    [
        ("Group", ["choir", "board"], "Unsubscribed"),
        ("Town", [f"Town {number}" for number in range(2000)], "opted out"),
        ("Consent", ["yes", "2025-05-01"], "no"),
        ("status", ["active"], "inactive"),
    ],
)
def test_a_word_that_comes_for_the_first_time_in_the_last_row_stops_the_import(
    on_sqlite: Service, column: str, before: list[str], word: str, checks: bool
) -> None:
    lines = [(f"u{number}@example.org", before[number % len(before)]) for number in range(6000)]
    data = rows(("email", column), *lines, ("gone@example.org", word))
    import_id = started(on_sqlite, data, statement=STATED, checks=checks)
    on_sqlite.work()

    one = found(on_sqlite, import_id)
    assert one.state is ImportState.UPLOADED
    assert f"'{column}'" in (one.error or "")
    assert word in (one.error or "")
    assert on_sqlite.states() == {}
    seen = looked_at(on_sqlite, import_id)
    assert column not in seen.mapping
    values = {column: {word: "unsubscribed", "*": "confirmed"}}
    start(on_sqlite, import_id, seen.options(mapping=seen.mapping, values=values, statement=STATED))
    on_sqlite.work()
    states = on_sqlite.states()
    assert states.pop("gone@example.org") == "unsubscribed"
    assert set(states.values()) == {"confirmed"}
    assert len(states) == 6000


def test_what_the_operator_says_is_an_attribute_is_one_and_is_not_asked_about_again(service: Service) -> None:
    lines = [(f"u{number}@example.org", "choir") for number in range(600)]
    import_id = started(
        service, rows(("email", "Group"), *lines, ("ann@example.org", "unsubscribed")), statement=STATED
    )
    service.work()
    seen = looked_at(service, import_id)

    start(
        service,
        import_id,
        seen.options(mapping=seen.mapping | {"Group": "attribute:group"}, statement=STATED),
    )
    service.work()

    assert found(service, import_id).state is ImportState.DONE
    assert service.states()["ann@example.org"] == "confirmed"


def test_a_column_that_is_left_out_or_has_no_name_is_looked_at_as_well(on_sqlite: Service) -> None:
    import_id = uploaded(on_sqlite, "ann@example.org;Ann;abgemeldet\nbob@example.org;Bob;\n")
    seen = looked_at(on_sqlite, import_id)

    assert seen.mapping == {"column 1": "email", "column 2": "ignore"}
    assert [question.column for question in seen.questions] == ["column 3"]


@pytest.mark.parametrize(
    "more",
    [
        {"tags": ["customer", "unsubscribed"]},
        {"subscription": {"status": "unsubscribed"}},
        {"emailOptOut": True},
        {"consent": False},
    ],
)
def test_objects_say_it_in_lists_and_within_each_other_as_well(
    on_sqlite: Service, more: dict[str, Any]
) -> None:
    lines = [{"email": "ann@example.org"}, {"email": "gone@example.org", **more}]
    with pytest.raises(Undecided, match=next(iter(more))):
        started(on_sqlite, "\n".join(map(json.dumps, lines)), statement=STATED)

    # And where only an object far below says it.
    many = [{"email": f"u{number}@example.org", "note": "x" * 3000} for number in range(800)]
    import_id = (
        started(on_sqlite, "\n".join(map(json.dumps, [*many, *lines])), statement=STATED)
        if ("emailOptOut" not in more and "consent" not in more)
        else None
    )
    if import_id is not None:
        on_sqlite.work()
        assert found(on_sqlite, import_id).state is ImportState.UPLOADED
        assert on_sqlite.states() == {}


PRESETS = {
    "Mailchimp": (
        rows(
            (
                "Email Address",
                "First Name",
                "Last Name",
                "CLEAN_TIME",
                "CLEAN_CAMPAIGN_TITLE",
                "LEID",
                "EUID",
            ),
            ("gone@example.org", "Ann", "X", "2026-01-31 08:00:00", "News 5", "1", "a"),
        ),
        "bounced",
    ),
    "Mailchimp, in German": (
        rows(
            ("E-Mail-Adresse", "Vorname", "Nachname", "UNSUB_TIME", "UNSUB_REASON", "LEID", "EUID", "TAGS"),
            ("gone@example.org", "Ann", "X", "2026-01-31 08:00:00", "NORMAL", "1", "a", ""),
        ),
        "unsubscribed",
    ),
    "Mailchimp, without names": (
        rows(
            ("E-Mail-Adresse", "MEMBER_RATING", "CLEAN_TIME", "CLEAN_CAMPAIGN_ID", "LEID", "EUID", "NOTES"),
            ("gone@example.org", "2", "2026-01-31 08:00:00", "17", "1", "a", ""),
        ),
        "bounced",
    ),
    "Substack": (
        rows(
            ("email", "active_subscription", "expiry", "plan", "email_disabled", "created_at"),
            ("gone@example.org", "false", "", "other", "true", "2026-01-31T08:00:00.000Z"),
            ("here@example.org", "false", "", "other", "false", "2026-01-31T08:00:00.000Z"),
        ),
        "unsubscribed",
    ),
    "Ghost": (
        rows(
            ("id", "email", "name", "note", "subscribed_to_emails", "created_at", "deleted_at", "labels"),
            ("1", "gone@example.org", "Ann", "", "false", "2026-01-31T08:00:00.000Z", "", ""),
            ("2", "here@example.org", "Bob", "", "true", "2026-01-31T08:00:00.000Z", "", ""),
        ),
        "unsubscribed",
    ),
}


@pytest.mark.parametrize(("data", "state"), PRESETS.values(), ids=PRESETS)
def test_what_is_known_of_a_tool_is_not_asked_about(on_sqlite: Service, data: str, state: str) -> None:
    imported(on_sqlite, data, statement=STATED)

    states = on_sqlite.states()
    assert states.pop("gone@example.org") == state
    assert set(states.values()) <= {"confirmed"}


def test_what_somebody_added_to_the_export_of_a_tool_is_asked_about(on_sqlite: Service) -> None:
    data = rows(
        ("Email Address", "First Name", "Last Name", "LEID", "EUID", "Wants no mail"),
        ("ann@example.org", "Ann", "X", "1", "a", "yes"),
    )

    with pytest.raises(Undecided, match="Wants no mail"):
        started(on_sqlite, data, statement=STATED)


def test_the_command_names_the_column_and_takes_what_it_means(on_sqlite: Service, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email,Blocked?,Level\na@example.org,ja,inactive\nb@example.org,nein,gold\n", "utf-8")
    for asked in (["--dry-run"], ["--statement", STATED]):
        refused = on_sqlite.command("import", "daily", str(file), *asked, check=False)
        assert refused.returncode == 1
        assert "'Blocked?' ('ja')" in refused.stderr
        assert "--map 'Blocked?=left'" in refused.stderr
        assert on_sqlite.states() == {}

    on_sqlite.command(
        "import", "daily", str(file), "--map", "Blocked?=ignore", "--value", "Level=inactive=unsubscribed",
        "--value", "Level=*=confirmed", "--statement", STATED,
    )  # fmt: skip

    assert on_sqlite.states() == {"a@example.org": "unsubscribed", "b@example.org": "confirmed"}


def test_a_command_whose_file_says_it_in_its_last_row_stores_nothing(
    on_sqlite: Service, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    lines = [(f"u{number}@example.org", "choir") for number in range(600)]
    file.write_text(rows(("email", "Group"), *lines, ("gone@example.org", "unsubscribed")), "utf-8")

    refused = on_sqlite.command("import", "daily", str(file), "--statement", STATED, check=False)
    assert refused.returncode == 1
    assert "'Group' ('unsubscribed')" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert on_sqlite.states() == {}
    assert on_sqlite.one("SELECT count(*) FROM import_chunks") == 0

    on_sqlite.command("import", "daily", str(file), "--value", "Group=choir=confirmed", "--statement", STATED)
    assert on_sqlite.states()["gone@example.org"] == "unsubscribed"


@pytest.mark.parametrize("option", ["Level", "Level=x", "=x=unsubscribed"])
def test_a_value_is_a_column_a_cell_and_a_state(on_sqlite: Service, tmp_path: Path, option: str) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email,Level\na@example.org,x\n", "utf-8")

    done = on_sqlite.command("import", "daily", str(file), "--value", option, check=False)

    assert done.returncode == 1
    assert "COLUMN=CELL=STATE" in done.stderr


@pytest.mark.parametrize(
    ("column", "leaves", "stays", "becomes"),
    [
        ("Opted out", "yes", "no", "unsubscribed"),
        ("subscribed", "no", "yes", "unsubscribed"),
        ("bounced_at", "2025-06-01", "", "bounced"),
    ],
)
def test_what_is_added_to_an_export_of_this_service_counts_beside_its_state(
    service: Service, column: str, leaves: str, stays: str, becomes: str
) -> None:
    file = f"id,email,state,source,confirmed_at,unsubscribed_at,{column}\n" + "".join(
        f"{number:032},{who}@example.org,confirmed,form,2025-01-02,2024-01-01,{cell}\n"
        for number, (who, cell) in enumerate([("ann", leaves), ("bob", stays)])
    )
    more = {"mapping": {column: "left"}} if column == "Opted out" else {}

    imported(service, file, statement=STATED, **more)

    assert service.states() == {"ann@example.org": becomes, "bob@example.org": "confirmed"}
