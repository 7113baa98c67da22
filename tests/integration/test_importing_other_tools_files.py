"""Files as spreadsheets, list servers and other tools write them are read as they are meant."""

from __future__ import annotations

import json

import pytest

from newsletter.services.importing.judging import Undecided
from newsletter.services.importing.options import Form
from tests.support.importing import STATED, imported, looked_at, reasons, started, uploaded
from tests.support.service import Service


def test_the_line_that_tells_a_spreadsheet_the_delimiter_is_none(service: Service) -> None:
    data = '\ufeffsep=;\r\nemail;name;town\r\nann@example.org;"Ann; Example";Basel\r\nnobody;Bob;Bern\r\n'
    import_id = started(service, data)
    service.work()

    assert looked_at_again(service, data) == (";", ("email", "name", "town"))
    assert service.rows("SELECT address, name FROM subscribers") == [("ann@example.org", "Ann; Example")]
    assert list(reasons(service, import_id)) == [4]  # lines are those of the file


def looked_at_again(service: Service, data: str) -> tuple[str, tuple[str, ...]]:
    seen = looked_at(service, uploaded(service, data))
    return seen.delimiter, seen.columns


@pytest.mark.parametrize("line", ["sep=\t\n", '"sep=\t"\r', "SEP=:\n"])
def test_it_may_be_written_in_several_ways(on_sqlite: Service, line: str) -> None:
    imported(on_sqlite, line + "email\tname\nann@example.org\tAnn\n")

    assert on_sqlite.rows("SELECT name FROM subscribers") == [("Ann",)]


def test_the_lines_of_a_list_server_are_names_and_addresses(service: Service) -> None:
    data = (
        "Ann Example <ann@example.org>\n"
        '"Example, Bob" <bob@example.org>\n'
        "\n"
        "cem@example.org\n"
        "<dee@example.org>\n"
        "Not an address <nobody>\n"
    )
    import_id = uploaded(service, data.replace("Not an address <nobody>\n", ""))
    assert looked_at(service, import_id).form is Form.LINES
    import_id = started(service, data * 1, given={})
    service.work()

    assert dict(service.rows("SELECT address, name FROM subscribers")) == {
        "ann@example.org": "Ann Example", "bob@example.org": "Example, Bob", "cem@example.org": None,
        "dee@example.org": None,
    }  # fmt: skip
    assert list(reasons(service, import_id)) == [6]


def test_a_name_beside_the_address_counts_where_the_row_has_no_other(service: Service) -> None:
    imported(
        service,
        "email,name,town\nAnn Example <ann@example.org>,,Basel\nBob <bob@example.org>,Robert,Bern\n",
    )

    assert dict(service.rows("SELECT address, name FROM subscribers")) == {
        "ann@example.org": "Ann Example", "bob@example.org": "Robert",
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        "email,created\nann@example.org,1700000000\n",
        "email,created\nann@example.org,1700000000.25\n",
        "email,created\nann@example.org,1700000000000\n",
        json.dumps({"email": "ann@example.org", "created": 1700000000}),
        json.dumps({"email": "ann@example.org", "created": 1700000000.0}),
    ],
)
def test_seconds_since_1970_are_a_date(on_sqlite: Service, data: str) -> None:
    imported(on_sqlite, data)

    assert "2023-11-14" in str(on_sqlite.one("SELECT created_at FROM subscriptions"))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["Jörg", "Łukasz", "प्रिया", "ليلى"])
def test_utf_16_without_its_mark_is_read(on_sqlite: Service, encoding: str, name: str) -> None:
    data = f"email\tname\nann@example.org\t{name}\n".encode(encoding)
    import_id = uploaded(on_sqlite, data)
    seen = looked_at(on_sqlite, import_id)
    imported(on_sqlite, data)

    assert (seen.encoding, seen.delimiter) == (encoding, "\t")
    assert on_sqlite.rows("SELECT name FROM subscribers") == [(name,)]


STATES = {
    "complaining": "complained", "Unreachable": "bounced", "marked as spam": "complained", "Aktiv": "confirmed",
    "abgemeldet": "unsubscribed", "MARKED_AS_SPAM": "complained", "Unzustellbar": "bounced", "désabonnée": "unsubscribed",
    "Désinscrit": "unsubscribed", "Abonné": "confirmed", "en attente": "pending", "dado de baja": "unsubscribed",
    "Activo": "confirmed", "rebotado": "bounced", "Descadastrado": "unsubscribed", "não confirmado": "pending",
    "Ativo": "confirmed", "सक्रिय": "confirmed", "सदस्यता समाप्त": "unsubscribed", "नशط": "", "نشط": "confirmed",
    "ملغى": "unsubscribed", "مرتد": "bounced", "Als Spam markiert": "complained", "Hard-Bounce": "bounced",
    "Opted-Out": "unsubscribed", "Nie angemeldet": "", "SpamComplaint": "complained", "non-subscribed": "unsubscribed",
    "Unbestätigt": "pending",
}  # fmt: skip


def test_the_words_of_other_tools_for_the_states_are_understood(service: Service) -> None:
    known = {word: state for word, state in STATES.items() if state}
    lines = [f"u{number}@example.org,{word}" for number, word in enumerate(known)]
    imported(service, "\n".join(["email,Status", *lines]), statement=STATED)

    assert service.states() == {
        f"u{number}@example.org": state for number, state in enumerate(known.values())
    }


def test_a_word_that_differs_from_tool_to_tool_is_asked_about(on_sqlite: Service) -> None:
    data = "email,status,subscription_tier\nann@example.org,active,free\nbob@example.org,inactive,free\n"
    with pytest.raises(Undecided, match=r"'status' \('inactive'\)"):
        started(on_sqlite, data, statement=STATED)

    imported(on_sqlite, data, statement=STATED, values={"status": {"inactive": "unsubscribed"}})
    assert on_sqlite.states() == {"ann@example.org": "confirmed", "bob@example.org": "unsubscribed"}


@pytest.mark.parametrize(
    "column",
    [
        "Signed up", "Signup date", "Sign-up Date", "Joined", "Date joined", "Subscribed on", "Subscribed", "Subscriber since",
        "Opt-in time", "Anmeldedatum", "Angemeldet am", "Inscrit le", "Date d'inscription", "Fecha de alta", "Inscrito em",
        "addedAt",
    ],
)  # fmt: skip
def test_when_they_signed_up_is_known_by_many_names(on_sqlite: Service, column: str) -> None:
    imported(on_sqlite, f"email,{column}\nann@example.org,2024-05-06 07:08:09\n")

    assert str(on_sqlite.one("SELECT created_at FROM subscriptions")).startswith("2024-05-06")


@pytest.mark.parametrize(
    "header",
    [
        "E-mail 1 - Value", "Email 1", "Subscriber", "E-Mail-Adresse", "Adresse électronique", "Correo electrónico",
        "ईमेल", "البريد الإلكتروني", "Kontakt",
    ],
)  # fmt: skip
def test_the_address_is_known_by_many_names_and_by_what_it_is(on_sqlite: Service, header: str) -> None:
    imported(on_sqlite, f"Vorname,{header},Stadt\nAnn,ann@example.org,Basel\n")

    assert on_sqlite.rows("SELECT address, name FROM subscribers") == [("ann@example.org", "Ann")]


def test_a_column_that_is_called_email_and_says_yes_is_not_the_address(on_sqlite: Service) -> None:
    data = "Email,Email address\nyes,ann@example.org\nno,bob@example.org\n"
    with pytest.raises(Undecided, match=r"'Email' \('no'\)"):
        started(on_sqlite, data, statement=STATED)

    imported(on_sqlite, data, statement=STATED, mapping={"Email": "left"})
    assert on_sqlite.states() == {"ann@example.org": "confirmed", "bob@example.org": "unsubscribed"}


GHOST = "id,email,name,note,subscribed_to_emails,created_at,deleted_at,labels\n"


def test_the_apostrophes_of_ghost_are_taken_off_and_those_of_others_stay(service: Service) -> None:
    row = '1,"\'+ann@example.org","\'=Ann","\'-5 points",true,2026-01-31T08:00:00.000Z,,"\'@home"\n'
    plain = "2,bob@example.org,'t Hooft,'quoted',true,2026-01-31T08:00:00.000Z,,x\n"
    imported(service, GHOST + row + plain)

    assert service.rows("SELECT address, name FROM subscribers ORDER BY address") == [
        ("+ann@example.org", "=Ann"), ("bob@example.org", "'t Hooft"),
    ]  # fmt: skip
    bags = [json.loads(bag) if isinstance(bag, str) else bag for (bag,) in service.rows(
        "SELECT attributes FROM subscribers ORDER BY address"
    )]  # fmt: skip
    assert bags == [{"note": "-5 points", "labels": "@home"}, {"note": "'quoted'", "labels": "x"}]

    imported(service, "email,name\ncem@example.org,'=Cem\n")
    assert service.one("SELECT name FROM subscribers WHERE address = 'cem@example.org'") == "'=Cem"


def test_they_stay_where_the_operator_says_so(on_sqlite: Service) -> None:
    imported(on_sqlite, GHOST + "1,ann@example.org,'=Ann,,true,2026-01-31T08:00:00.000Z,,\n", safe=False)

    assert on_sqlite.rows("SELECT name FROM subscribers") == [("'=Ann",)]
