"""What the columns of a file are, told from their names and from what they hold: those of this service's own
exports, of the tools that people come from, and the usual words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from newsletter.services.importing.column_names import Tells, fold, glue, meaning_of, tells_alone
from newsletter.services.importing.judging import Question, ask_about, is_date, judge
from newsletter.services.importing.moments import parse_moment
from newsletter.services.importing.options import ATTRIBUTE, OURS, Field
from newsletter.services.importing.state_words import NO, STATES, UNCLEAR, YES, word_of

_ONLY_OURS = (
    Field.ID, Field.LIST, Field.GENERATION, Field.ASKED_AT, Field.PERSON_CREATED_AT, Field.CONSENT,
    Field.SUPPRESSED, Field.PAUSED_UNTIL,
)  # fmt: skip


# By these a file says who left: what none of it is done with might bring people back who are gone.
_LEAVING = (Field.STATE, Field.SUBSCRIBED, Field.UNSUBSCRIBED_AT, Field.BOUNCED_AT, Field.SUPPRESSED)


@dataclass(frozen=True)
class Preset:
    """A tool's export, known by columns that it always has; what its columns are, where that is not what
    their names say. `safe` says that it puts an apostrophe before what spreadsheets would run."""

    name: str
    known_by: frozenset[str]
    fields: dict[str, str]
    safe: bool = False


# In the order in which they are tried: the more telling first.
PRESETS = (
    Preset(OURS, frozenset({"id", "email", "state", "source", "confirmed_at", "unsubscribed_at"}), {
        **{field.value: field for field in _ONLY_OURS}, "subscriber_id": Field.IGNORE,
    }),
    # Its exports are written by Papa Parse with `escapeFormulae` (@tryghost/members-csv).
    Preset("Ghost", frozenset({"email", "subscribed_to_emails"}), {
        "id": Field.IGNORE, "subscribed_to_emails": Field.SUBSCRIBED, "deleted_at": Field.LEFT,
        "stripe_customer_id": Field.IGNORE, "complimentary_plan": Field.IGNORE,
    }, safe=True),
    Preset("Substack", frozenset({"email", "active_subscription", "email_disabled"}), {
        "email_disabled": Field.LEFT, "active_subscription": f"{ATTRIBUTE}active_subscription",
    }),
    # Names are in the language of its user, and in files of cleaned people there may be none.
    *(
        Preset("Mailchimp", frozenset(known_by), {
            "email address": Field.EMAIL, "optin_time": Field.CREATED_AT, "confirm_time": Field.CONFIRMED_AT,
            "unsub_time": Field.UNSUBSCRIBED_AT, "clean_time": Field.BOUNCED_AT, **dict.fromkeys((
                "optin_ip", "confirm_ip", "leid", "euid", "gmtoff", "dstoff", "last_changed",
                "unsub_campaign_title", "unsub_campaign_id", "unsub_reason", "unsub_reason_other",
                "clean_campaign_title", "clean_campaign_id",
            ), Field.IGNORE),
        })
        for known_by in (("email address", "first name", "last name"), ("leid", "euid"))
    ),
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

# Names that say what a column is, glued as `column_names.glue` does it.
_NAMED = {
    Field.EMAIL: """
        emailaddress mail mailaddress emailadresse mailadresse adresseemail adressemail
        adresseelectronique courriel correo correoelectronico direcciondecorreo address enderecodeemail
        email1 email1value email1address primaryemail emailprimary subscriber subscriberemail useremail
        contactemail customeremail memberemail recipient ईमेल ईमेलपता البريدالإلكتروني البريدالالكتروني""",
    Field.NAME: "fullname displayname nomcomplet nombrecompleto nomecompleto realname",
    Field.FIRST_NAME: "givenname vorname prenom fname",
    Field.LAST_NAME: "surname familyname nachname lname",
    Field.LOCALE: "language lang sprache langue idioma",
    Field.STATE: "status subscriberstatus subscriptionstatus",
    Field.CREATED_AT: """
        created createdon creationdate subscribedat subscribedon subscribedate subscribeddate
        datesubscribed subscribersince subscriptiondate signup signedup signedupat signedupon signupdate
        signuptime signupat datesignedup joined joinedat joinedon joindate datejoined membersince added
        addedat addedon addedtime dateadded entered registered registeredat registeredon
        registrationdate optintime optindate anmeldedatum angemeldetam eingetragenam registriertam
        inscritle inscriptionle dateinscription datedinscription abonnele fechadealta fechaderegistro
        fechadesuscripcion suscritoel datadeinscricao datadecadastro inscritoem""",
    Field.CONFIRMED_AT: """
        confirmedon confirmdate confirmationtime confirmtime optinat doubleoptinat bestatigtam
        confirmele confirmadoel confirmadoem""",
    Field.UNSUBSCRIBED_AT: "unsubscribedon unsubscribedate unsubtime",
}
_NAMES: dict[str, str] = {
    **{glue(field): field.value for field in Field if field not in (*_ONLY_OURS, Field.LEFT)},
    **{fold(name): field.value for field, names in _NAMED.items() for name in names.split()},
}
# Beside such columns, one that is called `state` may be that of an address.
_ADDRESSES = frozenset(
    {"city", "town", "zip", "zipcode", "postcode", "postalcode", "street", "country", "county"}
)


@dataclass(frozen=True)
class Suggested:
    """The tool that a file seems to come from, and what each of its columns is; save those about which there
    are questions. `known` are those that are known of the tool. `safe` says that the tool keeps texts from
    being formulas by an apostrophe."""

    preset: str | None
    mapping: dict[str, str]
    questions: tuple[Question, ...] = ()
    known: frozenset[str] = frozenset()
    safe: bool = False


def suggest(columns: Sequence[str], cells: Mapping[str, Collection[str]] | None = None) -> Suggested:
    """What the columns are, by their names and by `cells`, some of each. A column whose name says nothing
    becomes an attribute of its name; one that may say who left, and is not understood, is left out: the
    operator must say what it is."""
    cells = cells or {}
    names = {column: column.strip().lower() for column in columns}
    found = next((preset for preset in PRESETS if preset.known_by <= set(names.values())), None)
    own = found.fields if found else {}
    fields = {
        column: own.get(name) or _by_name(column, cells.get(column, ()), names.values()) or ATTRIBUTE + column
        for column, name in names.items()
    }
    if Field.EMAIL not in fields.values():
        fields |= dict.fromkeys(_addresses(columns, cells)[:1], Field.EMAIL.value)
    whole = Field.NAME in fields.values()
    mapping: dict[str, str] = {}
    questions: list[Question] = []
    known: set[str] = set()
    for column, field in fields.items():
        taken = field not in (Field.IGNORE, Field.LEFT) and field in mapping.values()
        question = None
        if taken or (whole and field in (Field.FIRST_NAME, Field.LAST_NAME)):
            field = ATTRIBUTE + column  # noqa: PLW2901
            question = judge(column, cells.get(column, ()))
        elif names[column] in own:
            known.add(column)
        elif field == Field.EMAIL and _names_leavers(column):
            # `Unsubscribed email`: nothing else in the file may say so.
            question = ask_about(column, ())
        elif field == Field.STATE:
            question = _about_state(column, cells.get(column, ()))
        elif field.startswith(ATTRIBUTE):
            question = judge(column, cells.get(column, ()))
        if question is None:
            mapping[column] = str(field)
        else:
            questions.append(question)
    if Field.EMAIL not in mapping.values() and len(columns) == 1 and not _names_leavers(columns[0]):
        mapping, questions = {columns[0]: Field.EMAIL.value}, []
    safe = found is not None and found.safe
    return Suggested(found.name if found else None, mapping, tuple(questions), frozenset(known), safe=safe)


def _by_name(column: str, cells: Collection[str], beside: Collection[str]) -> str | None:
    """What a column is by its name, unless its cells are of another kind."""
    field = _NAMES.get(glue(column))
    filled = [cell for cell in cells if cell.strip()]
    if not filled or field is None:
        return field
    words = {word_of(cell) for cell in filled}
    if field == Field.EMAIL and not any("@" in cell or "＠" in cell for cell in filled):
        return None  # `Email: yes` says who wants mail
    if field == Field.SUBSCRIBED and not words <= YES | NO:
        return Field.CREATED_AT.value if all(is_date(cell) for cell in filled) else None
    if field in (Field.CREATED_AT, Field.CONFIRMED_AT) and not any(is_date(cell) for cell in filled):
        return None  # `Joined: yes`
    if field in (Field.UNSUBSCRIBED_AT, Field.BOUNCED_AT) and not all(
        parse_moment(cell.strip()) for cell in filled
    ):
        return None  # that it is filled is what counts
    elsewhere = glue(column) == "state" and not words & (STATES.keys() | UNCLEAR)
    return None if elsewhere and _ADDRESSES & {glue(name) for name in beside} else field


def _addresses(columns: Sequence[str], cells: Mapping[str, Collection[str]]) -> list[str]:
    """The columns that hold addresses, and little else."""
    found = {column: [cell for cell in cells.get(column, ()) if cell.strip()] for column in columns}
    return [
        column for column, filled in found.items() if 2 * sum("@" in cell for cell in filled) > len(filled)
    ]


def _about_state(column: str, cells: Collection[str]) -> Question | None:
    """The question that a column of states raises: about words that differ from tool to tool, or where
    several are no states, and most. Of few that are none, the rows are refused."""
    words = {word_of(cell) for cell in cells} - {""}
    strange = words - STATES.keys()
    if strange.isdisjoint(UNCLEAR) and not 1 < len(strange) > len(words) / 2:
        return None
    return judge(column, cells)


def suggest_by_samples(columns: Sequence[str], cells: Mapping[str, Collection[str]]) -> Suggested:
    """For a file without header: the column with an @ is the address, the others are yours to name."""
    address = columns if len(columns) == 1 else _addresses(columns, cells)[:1]
    mapping = dict.fromkeys(columns, Field.IGNORE.value) | dict.fromkeys(address, Field.EMAIL.value)
    found = [
        judge(column, cells.get(column, ())) for column, field in mapping.items() if field == Field.IGNORE
    ]
    questions = tuple(question for question in found if question is not None)
    for question in questions:
        del mapping[question.column]
    return Suggested(None, mapping, questions)


def tells_who_left(column: str) -> bool:
    """Whether a column of this name may say who is not to be mailed any more, whatever it holds."""
    return tells_alone(column) or _NAMES.get(glue(column)) in _LEAVING


def _names_leavers(text: str) -> bool:
    """Whether a text is about people who left, such as the heading `Blacklist`."""
    meaning = meaning_of(text)
    return meaning is not None and meaning.tells is Tells.FILLED


def passed_over(
    columns: Iterable[str], seen: Mapping[str, str], questions: Iterable[Question], *, said: Mapping[str, str]
) -> list[Question]:
    """The questions about those of the columns of which nothing is `said`, or something else than was `seen`:
    those that are asked about, that have such a name, or that were seen to say who left."""
    asked = {question.column: question for question in questions}
    return [
        asked.get(column) or Question(column)
        for column in columns
        if said.get(column) != seen.get(column, "")
        and (column in asked or tells_who_left(column) or seen.get(column) in (*_LEAVING, Field.LEFT))
    ]


def notes_on_name(filename: str, suggested: Suggested) -> list[str]:
    """What the operator should know where a file is called by those who left, and nothing in it says so."""
    telling = {*_LEAVING, Field.LEFT} & set(suggested.mapping.values())
    if not _names_leavers(filename.rpartition(".")[0]) or telling or suggested.questions:
        return []
    said = f"The file is called {filename!r}, and none of its columns says who left"
    return [f"{said}: give it one that does, such as a status, if these people did."]
