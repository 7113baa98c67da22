"""What the console calls things: the names in the database are short and for programs."""

from __future__ import annotations

from newsletter.domain.lifecycle import Event, State
from newsletter.models.outbox import Kind
from newsletter.services.exports import Format
from newsletter.services.importing.options import Field

EVENTS = {
    Event.SIGN_UP: "Signed up",
    Event.CONFIRM: "Confirmed",
    Event.UNSUBSCRIBE: "Unsubscribed",
    Event.LAPSE: "Did not confirm in time",
    Event.BOUNCE: "Mail came back",
    Event.COMPLAIN: "Reported mail as spam",
    Event.IMPORT: "Was brought in",
    Event.EDIT: "Details were changed",
    Event.FORGET: "Was erased",
}
STATES = {
    State.PENDING: "Asked to confirm",
    State.CONFIRMED: "Gets the newsletter",
    State.UNSUBSCRIBED: "Unsubscribed",
    State.BOUNCED: "Mail to them came back",
    State.COMPLAINED: "Reported mail as spam, and is never mailed again",
}
MAILS = {
    Kind.CONFIRMATION: "Please confirm",
    Kind.ALREADY_SUBSCRIBED: "You already receive it",
    Kind.LINKS: "Your links",
}
FORMATS = {
    Format.CSV: "CSV, for spreadsheets",
    Format.JSONL: "JSON Lines",
    Format.SQLITE: "SQLite database",
    Format.ARCHIVE: "Archive: everything, the history of consent included",
    Format.LISTMONK: "For listmonk",
    Format.GHOST: "For Ghost",
    Format.MAILCHIMP: "For Mailchimp",
    Format.BUTTONDOWN: "For Buttondown",
    Format.KIT: "For Kit",
}
FIELDS = {
    Field.EMAIL: "Email address",
    Field.NAME: "Name",
    Field.FIRST_NAME: "First name",
    Field.LAST_NAME: "Last name",
    Field.LOCALE: "Language",
    Field.STATE: "State",
    Field.SUBSCRIBED: "Subscribed, yes or no",
    Field.SOURCE: "Came by",
    Field.CREATED_AT: "When they signed up",
    Field.CONFIRMED_AT: "When they confirmed",
    Field.UNSUBSCRIBED_AT: "When they unsubscribed",
    Field.BOUNCED_AT: "When mail came back",
    Field.ATTRIBUTES: "Attributes, as a JSON object",
    Field.ID: "Id of the subscription, from an export of this service",
    Field.CONSENT: "History of consent, from an archive of this service",
    Field.SUPPRESSED: "Never to be mailed, yes or no",
    Field.IGNORE: "Leave it out",
}
_WAYS = {
    "form": "the form",
    "script": "a script of a site",
    "element": "the form inside a page",
    "frame": "the frame",
    "page": "the link of the mail",
    "one-click": "one click in the mail program",
    "code": "the code of the mail",
    "purge": "the clock",
    "operator": "an operator",
    "import": "a file",
    "api": "the API",
    "command": "the command line",
}


def way(name: str) -> str:
    """By which way somebody acted, or came to a list."""
    return _WAYS.get(name, name)
