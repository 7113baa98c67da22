"""What the columns of a file are, told from their names: those of this service's own exports, of the tools
that people come from, and the usual words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from newsletter.domain.lifecycle import State
from newsletter.services.importing.options import ATTRIBUTE, OURS, Field, ImportFault

_ONLY_OURS = (
    Field.ID, Field.LIST, Field.GENERATION, Field.ASKED_AT, Field.PERSON_CREATED_AT, Field.CONSENT,
    Field.SUPPRESSED, Field.PAUSED_UNTIL,
)  # fmt: skip


# By these a file says who left: what none of it is done with might bring people back who are gone.
_LEAVING = (Field.STATE, Field.SUBSCRIBED, Field.UNSUBSCRIBED_AT, Field.BOUNCED_AT, Field.SUPPRESSED)


@dataclass(frozen=True)
class Preset:
    """A tool's export, known by columns that it always has; what its columns are, where that is not what
    their names say."""

    name: str
    known_by: frozenset[str]
    fields: dict[str, str]


# In the order in which they are tried: the more telling first.
PRESETS = (
    Preset(OURS, frozenset({"id", "email", "state", "source", "confirmed_at", "unsubscribed_at"}), {
        **{field.value: field for field in _ONLY_OURS}, "subscriber_id": Field.IGNORE,
    }),
    Preset("Ghost", frozenset({"email", "subscribed_to_emails"}), {
        "id": Field.IGNORE, "subscribed_to_emails": Field.SUBSCRIBED, "deleted_at": Field.IGNORE,
        "stripe_customer_id": Field.IGNORE, "complimentary_plan": Field.IGNORE,
    }),
    Preset("Mailchimp", frozenset({"email address", "first name", "last name"}), {
        "email address": Field.EMAIL, "optin_time": Field.CREATED_AT, "confirm_time": Field.CONFIRMED_AT,
        "unsub_time": Field.UNSUBSCRIBED_AT, "clean_time": Field.BOUNCED_AT, "optin_ip": Field.IGNORE,
        "confirm_ip": Field.IGNORE, "leid": Field.IGNORE, "euid": Field.IGNORE, "gmtoff": Field.IGNORE,
        "dstoff": Field.IGNORE, "last_changed": Field.IGNORE,
    }),
    Preset("listmonk", frozenset({"email", "name", "attributes"}), {
        "uuid": Field.IGNORE, "updated_at": Field.IGNORE,
    }),
    Preset("Kit", frozenset({"email", "first_name", "tags"}), {
        "id": Field.IGNORE, "first_name": Field.NAME,
    }),
    Preset("Kit", frozenset({"email", "first_name", "state", "created_at"}), {
        "id": Field.IGNORE, "first_name": Field.NAME,
    }),
    *(
        Preset("Buttondown", frozenset(known_by), {
            "id": Field.IGNORE, "secondary_id": Field.IGNORE, "creation_date": Field.CREATED_AT,
            "subscriber_type": Field.STATE, "type": Field.STATE, "metadata": Field.ATTRIBUTES,
            "unsubscription_date": Field.UNSUBSCRIBED_AT, "undeliverability_date": Field.BOUNCED_AT,
        })
        for known_by in (
            ("email_address", "type", "creation_date"), ("email", "type", "creation_date"),
            ("email_address", "type", "tags"), ("email", "type", "tags"),
            ("email_address", "subscriber_type"), ("email", "subscriber_type"), ("email", "name", "tags"),
        )
    ),
)  # fmt: skip

_WORDS: dict[str, str] = {
    **{field.value: field.value for field in Field if field not in _ONLY_OURS},
    **dict.fromkeys(("e-mail", "mail", "email_address", "e-mail_address", "emailaddress", "e-mail-adresse",
                     "adresse_e-mail", "correo", "correo_electronico", "address"), Field.EMAIL.value),
    **dict.fromkeys(("full_name", "fullname", "display_name", "nom_complet", "nombre_completo"),
                    Field.NAME.value),
    **dict.fromkeys(("firstname", "given_name", "vorname", "prenom", "prénom", "fname"),
                    Field.FIRST_NAME.value),
    **dict.fromkeys(("lastname", "surname", "family_name", "nachname", "lname"), Field.LAST_NAME.value),
    **dict.fromkeys(("language", "lang", "sprache", "langue", "idioma"), Field.LOCALE.value),
    **dict.fromkeys(("status", "subscriber_status", "subscription_status"), Field.STATE.value),
    **dict.fromkeys(("created", "subscribed_at", "signup_date", "signed_up_at", "date_added", "joined",
                     "joined_at", "subscribe_date", "subscribed_on"), Field.CREATED_AT.value),
    **dict.fromkeys(("confirmed_on", "confirm_date", "confirmation_time", "optin_at"),
                    Field.CONFIRMED_AT.value),
    **dict.fromkeys(("unsubscribed_on", "unsubscribe_date", "unsub_time"), Field.UNSUBSCRIBED_AT.value),
}  # fmt: skip

# Other words for having left, which may be written in ways that nobody can guess.
_WORDS_OF_LEAVING = frozenset({
    "active", "is_active", "enabled", "is_enabled", "opted_in", "opt_in", "optin", "opted_out", "opt_out",
    "optout", "unsubscribed", "is_unsubscribed", "is_subscribed", "unsubscribe", "unsubscription_date",
    "opt_out_date", "opted_out_at", "removed", "removed_at", "blocked", "blocklisted", "blacklisted",
    "cleaned", "bounced", "is_bounced", "bounce", "hard_bounced", "undeliverable", "undeliverability_date",
    "complained", "complained_at", "complaint", "spam", "suppressed", "is_suppressed", "do_not_mail",
    "do_not_email",
    "do_not_contact", "subscriber_type", "email_status", "abgemeldet", "abgemeldet_am", "désabonné",
    "desabonne", "desinscrit", "désinscrit", "baja",
})  # fmt: skip

# What files call the states.
STATES: dict[str, State] = {
    **{state.value: state for state in State},
    **dict.fromkeys(("active", "subscribed", "enabled", "confirmed opt-in", "regular", "premium",
                     "paid", "gift", "gifted", "trialed", "unpaid", "churning", "paused", "past_due"),
                    State.CONFIRMED),
    **dict.fromkeys(("unconfirmed", "inactive", "unactivated", "not confirmed", "waiting"), State.PENDING),
    **dict.fromkeys(("unsubscribe", "cancelled", "canceled", "removed", "disabled", "opted out",
                     "blocklisted", "blocked", "archived"), State.UNSUBSCRIBED),
    **dict.fromkeys(("cleaned", "undeliverable", "bounce", "hard bounced", "invalid"), State.BOUNCED),
    **dict.fromkeys(("complaint", "spam", "spammy", "abuse"), State.COMPLAINED),
}  # fmt: skip


def suggest(columns: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """The tool that a file seems to come from, and what each of its columns is. A column whose name says
    nothing becomes an attribute of its name; one that may say who left, and is not understood, is left out:
    the operator must say what it is."""
    plain = {column: column.strip().lower() for column in columns}
    found = next((preset for preset in PRESETS if preset.known_by <= set(plain.values())), None)
    own = found.fields if found else {}
    mapping: dict[str, str] = {}
    both_names = {"name", "first_name", "last_name"} & {_word(name) for name in plain.values()}
    for column, name in plain.items():
        field = own.get(name) or _word(name) or ATTRIBUTE + column
        if field in (Field.FIRST_NAME, Field.LAST_NAME) and Field.NAME in both_names:
            field = ATTRIBUTE + column
        taken = field != Field.IGNORE and field in mapping.values()
        if (taken or field.startswith(ATTRIBUTE)) and tells_who_left(name):
            continue
        mapping[column] = ATTRIBUTE + column if taken else str(field)
    if Field.EMAIL not in mapping.values() and len(columns) == 1:
        mapping[columns[0]] = Field.EMAIL.value
    return (found.name if found else None), mapping


def suggest_by_samples(columns: Sequence[str], samples: Sequence[Sequence[str]]) -> dict[str, str]:
    """For a file without header: the column with an @ is the address, the others are yours to name."""
    mapping = dict.fromkeys(columns, Field.IGNORE.value)
    for number, column in enumerate(columns):
        if samples and all("@" in row[number] for row in samples if number < len(row)):
            mapping[column] = Field.EMAIL.value
            break
    return mapping


def tells_who_left(column: str) -> bool:
    """Whether a column of this name may say who is not to be mailed any more."""
    name = column.strip().lower()
    return _word(name) in _LEAVING or re.sub(r"[\s_-]+", "_", name) in _WORDS_OF_LEAVING


def refuse_forgotten(columns: Iterable[str], mapping: Mapping[str, str]) -> None:
    """Raise `ImportFault` where nobody said what a column is that may say who left."""
    forgotten = [column for column in columns if column not in mapping and tells_who_left(column)]
    if forgotten:
        fields = ", ".join(field for field in _LEAVING if field is not Field.SUPPRESSED)
        raise ImportFault(
            f"the column {forgotten[0]!r} may say who left, and must not be passed over: say that it is one "
            f"of {fields}, or {Field.IGNORE} where it says nothing of the kind"
        )


def _word(name: str) -> str:
    return _WORDS.get(re.sub(r"[\s_]+", "_", name)) or _WORDS.get(name) or ""
