"""What the console calls things: the names in the database are short and for programs."""

from __future__ import annotations

from newsletter.domain import scanners
from newsletter.domain.lifecycle import Event, State
from newsletter.domain.scanners import Delay, Door
from newsletter.models.outbox import Kind, Lane
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
    Kind.REMINDER: "Reminder to confirm",
    Kind.WELCOME: "Welcome",
    Kind.ADDRESS_CHANGE: "Confirm your new address",
    Kind.ADDRESS_NOTICE: "A new address was asked for",
}
LANES = {
    Lane.INTERACTIVE: "First: somebody waits for it",
    Lane.TRANSACTIONAL: "Second: nobody waits for it",
    Lane.BULK: "Last: one of many",
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
    Field.LEFT: "Says who left",
    Field.SOURCE: "Came by",
    Field.CREATED_AT: "When they signed up",
    Field.CONFIRMED_AT: "When they confirmed",
    Field.UNSUBSCRIBED_AT: "When they unsubscribed",
    Field.BOUNCED_AT: "When mail came back",
    Field.ATTRIBUTES: "Attributes, as a JSON object",
    Field.ID: "Id of the subscription, from an export of this service",
    Field.CONSENT: "History of consent, from an archive of this service",
    Field.SUPPRESSED: "Never to be mailed, yes or no",
    Field.PAUSED_UNTIL: "Until when it is paused, from an export of this service",
    Field.IGNORE: "Leave it out",
}
# What a cell can say of those who may have left.
CELLS = {
    State.CONFIRMED: "They stay",
    State.UNSUBSCRIBED: "They unsubscribed",
    State.BOUNCED: "Mail to them came back",
    State.COMPLAINED: "They reported mail as spam",
    State.PENDING: "They did not confirm yet",
}
DOORS = {
    Door.CONFIRM: "Confirm",
    Door.UNSUBSCRIBE: "Unsubscribe",
    Door.OWN_PAGE: "Their own page",
    Door.NEW_ADDRESS: "Confirm a new address",
    Door.STOP_CHANGE: "Not at this new address",
    Door.NOT_ME: "It was not me",
}
LOOKS = {
    scanners.Kind.HEAD: "Asked whether it is there (HEAD)",
    scanners.Kind.OPTIONS: "Asked what it takes (OPTIONS)",
    scanners.Kind.PREFETCH: "Fetched ahead of the reader",
    scanners.Kind.SCANNER: "A program that is no browser",
    scanners.Kind.NO_HINTS: "Without what browsers send along",
    scanners.Kind.BROWSER: "As a browser does",
}
DELAYS = {
    Delay.SECONDS: "5 s",
    Delay.MINUTE: "1 min",
    Delay.MINUTES: "10 min",
    Delay.HOUR: "1 h",
    Delay.DAY: "1 day",
    Delay.LATER: "later",
    Delay.UNKNOWN: "unknown",
}
_WAYS = {
    "form": "the form",
    "script": "a script of a site",
    "element": "the form inside a page",
    "frame": "the frame",
    "page": "the link of the mail",
    "one-click": "one click in the mail program",
    "code": "the code of the mail",
    "mailto": "a mail to leave",
    "mail": "a mail that came back",
    "smtp": "the receiving mail system",
    "arf": "a complaint of their provider",
    "purge": "the clock",
    "operator": "an operator",
    "subscriber": "their own page",
    "import": "a file",
    "api": "the API",
    "command": "the command line",
}


def way(name: str) -> str:
    """By which way somebody acted, or came to a list."""
    return _WAYS.get(name, name)
