"""What the columns of a file are, told from their names."""

from __future__ import annotations

import pytest

from newsletter.services.importing.detecting import detect
from newsletter.services.importing.mapping import suggest, suggest_by_samples
from newsletter.services.importing.options import ImportFault, Options

PRESETS = {
    "listmonk": [
        ("email,name,attributes", {"email": "email", "name": "name", "attributes": "attributes"}),
        ("uuid,email,name,attributes,status,created_at,updated_at", {"uuid": "ignore", "status": "state"}),
    ],
    "Ghost": [
        (
            "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,labels",
            {
                "id": "ignore", "email": "email", "note": "attribute:note", "subscribed_to_emails": "subscribed",
                "created_at": "created_at", "labels": "attribute:labels", "stripe_customer_id": "ignore",
            },
        ),
    ],
    "Mailchimp": [
        (
            "Email Address,First Name,Last Name,OPTIN_TIME,CONFIRM_TIME,UNSUB_TIME,LEID,TAGS",
            {
                "Email Address": "email", "First Name": "first_name", "Last Name": "last_name",
                "OPTIN_TIME": "created_at", "CONFIRM_TIME": "confirmed_at", "UNSUB_TIME": "unsubscribed_at",
                "LEID": "ignore", "TAGS": "attribute:TAGS",
            },
        ),
        ("Email Address,First Name,Last Name,CLEAN_TIME", {"CLEAN_TIME": "bounced_at"}),
    ],
    "Kit": [
        ("email,first_name,tags", {"first_name": "name", "tags": "attribute:tags"}),
        ("id,first_name,email,state,created_at", {"id": "ignore", "first_name": "name", "state": "state"}),
    ],
    "Buttondown": [
        ("email,name,tags", {"tags": "attribute:tags"}),
        (
            "id,email,name,tags,notes,creation_date,subscriber_type",
            {"creation_date": "created_at", "subscriber_type": "state", "id": "ignore"},
        ),
        (
            "email_address,notes,metadata,tags,referrer_url,secondary_id,type,source,creation_date",
            {
                "email_address": "email", "type": "state", "metadata": "attributes", "tags": "attribute:tags",
                "creation_date": "created_at", "secondary_id": "ignore", "source": "source",
            },
        ),
        (
            "id,email,type,tags,unsubscription_date,undeliverability_date",
            {"type": "state", "unsubscription_date": "unsubscribed_at", "undeliverability_date": "bounced_at"},
        ),
    ],
    "this service": [
        (
            "id,email,name,state,locale,source,created_at,confirmed_at,unsubscribed_at,attributes,consent,suppressed",
            {"id": "id", "attributes": "attributes", "consent": "consent", "suppressed": "suppressed"},
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "columns", "expected"),
    [(preset, columns, fields) for preset, files in PRESETS.items() for columns, fields in files],
)
def test_the_exports_of_other_tools_are_recognised(
    preset: str, columns: str, expected: dict[str, str]
) -> None:
    found = suggest(columns.split(","))

    assert found.preset == preset
    assert found.mapping | expected == found.mapping
    assert found.questions == ()


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        ("E-Mail,Vorname,Nachname,Sprache", ["email", "first_name", "last_name", "locale"]),
        ("EMAIL ADDRESS,Full Name,City", ["email", "name", "attribute:City"]),
        ("mail,created,whatever", ["email", "created_at", "attribute:whatever"]),
        ("Adressen", ["email"]),
    ],
)
def test_the_usual_words_are_understood(columns: str, fields: list[str]) -> None:
    assert list(suggest(columns.split(",")).mapping.values()) == fields


def test_a_file_without_header_is_seen_by_its_addresses() -> None:
    seen = detect(b"Ann;ann@example.org\nBob;bob@example.org\n", encoding="utf-8", whole=True)

    assert not seen.header
    assert seen.columns == ("column 1", "column 2")
    found = suggest_by_samples(seen.columns, seen.cells)
    assert found.mapping == {"column 1": "ignore", "column 2": "email"}


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"a": "name"}, "one column must be the email address"),
        ({"a": "email", "b": "email"}, "cannot both be email"),
        ({"a": "email", "b": "magic"}, "cannot be 'magic'"),
        ({"a": "email", "b": "attribute:"}, "cannot be the key"),
        ({"a": "email", "c": "name"}, "no column 'c'"),
        ({"a": "email", "b": "name", "d": "last_name"}, "the name is one column"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_with_words(mapping: dict[str, str], said: str) -> None:
    with pytest.raises(ImportFault, match=said):
        Options(mapping).checked(["a", "b", "d"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"encoding": "klingon"}, "encoding"),
        ({"delimiter": "x"}, "delimiter"),
        ({"ask_per_hour": 0}, "an hour"),
        ({"locale": "xx"}, "languages"),
        ({"statement": "x" * 5001}, "5,000"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_words(options: dict[str, object], said: str) -> None:
    with pytest.raises(ImportFault, match=said):
        Options({"a": "email"}, **options).checked(["a"])  # type: ignore[arg-type]


def test_options_are_the_same_after_they_were_stored() -> None:
    options = Options({"a": "email"}, statement="On paper.", ask_per_hour=5, locale="de", delimiter=";")

    assert Options.from_json(options.to_json()) == options
