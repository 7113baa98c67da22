"""What is sent and shown of imports."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from newsletter.domain.languages import LANGUAGES
from newsletter.models import ImportState
from newsletter.services.importing.options import DELIMITERS, ENCODINGS, LONGEST_STATEMENT, MOST_ASKS, Form
from newsletter.web.api.paging import Paged
from newsletter.web.api.schemas import Fields, Moment, TrueOrFalse, address, choice, line, state, told

EXAMPLE_OPTIONS = {
    "mapping": {"Email": "email", "Name": "name", "Town": "attribute:town"},
    "form": "csv",
    "encoding": "utf-8",
    "delimiter": ",",
    "header": True,
    "statement": "Signed up on our old site, with double opt-in, until May 2026",
    "ask_per_hour": None,
    "locale": None,
    "safe": False,
    "values": {},
}
EXAMPLE = {
    "id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c005",
    "list": "sport",
    "filename": "subscribers.csv",
    "size": 5120,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "state": "checked",
    "options": EXAMPLE_OPTIONS,
    "report": {"rows": 100, "added": 97, "refused": 3},
    "rows_done": 100,
    "error": None,
    "created_by": "token nlt_Ab3dE6gh (sync)",
    "created_at": "2026-01-31T08:00:00.000000Z",
    "finished_at": None,
    "self": "https://news.example.org/api/v1/imports/019b2f6e-5c00-7d11-8a55-0f6f4bb3c005",
}
# `format: binary` is no word of OpenAPI 3.1, which lets any format stand: what 3.1 says instead,
# contentMediaType, makes generated clients send a text. Of several media types, many take the first, or none.
BODY = {
    "required": True,
    "description": "A form with the file. The file itself may be the body, too, as `text/csv` or "
    "`application/x-ndjson`.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary", "description": "Its name is kept."}
                },
            }
        },
    },
}


class Upload(Fields):
    """What the file is called."""

    filename = line(255, **told("The file's own name, to be recognised by.", load_default="upload"))


class WantedImports(Paged):
    """Which imports."""

    list = line(64, **told("Into the list with this slug.", load_default=None))


class Reading(Fields):
    """How the file is read; what is left out is guessed."""

    encoding = choice(*ENCODINGS)
    delimiter = choice(*DELIMITERS)
    header = fields.Boolean(
        truthy={"true"}, falsy={"false"}, **told("Whether its first line names the columns.")
    )


def _at_most_200(mapping: dict[str, Any]) -> None:
    """No validate.Length: the document would count an object's letters."""
    if len(mapping) > 200:
        raise ValidationError("Must name at most 200 columns.")


def _at_most_1000(cells: dict[str, str]) -> None:
    if len(cells) > 1000:
        raise ValidationError("Must name at most 1,000 cells of a column.")


class ImportOptions(Fields):
    """How the file is read, what its columns are, and what you state. What is left out is as `look` shows
    it."""

    mapping = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        validate=_at_most_200,
        **told(
            "For each column what it is: `email`, `name`, …, `left` where it says who left, `attribute:KEY` "
            "or `ignore`."
        ),
    )
    form = choice(*Form)
    encoding = choice(*ENCODINGS)
    delimiter = choice(*DELIMITERS)
    header = TrueOrFalse()
    statement = line(
        LONGEST_STATEMENT,
        **told(
            "Where and how these people consented: kept as evidence. Without it nobody is confirmed.",
            allow_none=True,
        ),
    )
    ask_per_hour = fields.Integer(
        strict=True,
        validate=validate.Range(min=1, max=MOST_ASKS),
        **told("Send those who are pending a confirmation, that many an hour.", allow_none=True),
    )
    locale = choice(*LANGUAGES, **told("The language of who brings none.", allow_none=True))
    safe = TrueOrFalse(
        **told("Take off the apostrophe that keeps a text from being a formula."),
    )
    values = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(keys=fields.String(), values=state(), validate=_at_most_1000),
        validate=_at_most_200,
        **told(
            "For columns that are `state` or `left`: what their cells mean, such as "
            '`{"Status": {"inactive": "unsubscribed"}}`; `confirmed` is whoever did not leave, and `*` '
            "stands for every other cell that says nothing plain. What is left out means what it says."
        ),
    )


class ImportOptionsShown(Schema):
    """How the file is read, what its columns are, and what was stated."""

    mapping = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    form = choice(*Form, required=True)
    encoding = fields.String(required=True)
    delimiter = fields.String(required=True)
    header = fields.Boolean(required=True)
    statement = fields.String(required=True, allow_none=True)
    ask_per_hour = fields.Integer(required=True, allow_none=True)
    locale = fields.String(required=True, allow_none=True)
    safe = fields.Boolean(required=True)
    values = fields.Dict(
        keys=fields.String(), values=fields.Dict(keys=fields.String(), values=state()), required=True
    )


class Import(Schema):
    """An import."""

    id = fields.UUID(required=True)
    list = fields.String(required=True)
    filename = fields.String(required=True)
    size = fields.Integer(required=True, **told("In bytes."))
    sha256 = fields.String(required=True)
    state = choice(*(state.value for state in ImportState), required=True)
    options = fields.Nested(ImportOptionsShown, required=True, allow_none=True)
    report = fields.Dict(
        required=True, **told("How many rows are added, changed, left as they are, refused.")
    )
    rows_done = fields.Integer(required=True)
    error = fields.String(required=True, allow_none=True)
    created_by = fields.String(required=True)
    created_at = Moment(required=True)
    finished_at = Moment(required=True, allow_none=True)
    self = address(required=True)


class Question(Schema):
    """A column that may say who left. Nothing is imported before the options say what it is."""

    column = fields.String(required=True)
    cells = fields.Dict(
        keys=fields.String(),
        values=state(allow_none=True),
        required=True,
        **told("Some cells, and what each seems to say; `null` where that cannot be told."),
    )


class Look(Schema):
    """How the file seems to be written, and what its columns seem to be."""

    form = choice(*Form, required=True)
    encoding = fields.String(required=True)
    delimiter = fields.String(required=True)
    header = fields.Boolean(required=True)
    columns = fields.List(fields.String(), required=True)
    samples = fields.List(fields.List(fields.String()), required=True, **told("The first rows."))
    preset = fields.String(required=True, allow_none=True, **told("The tool that it seems to come from."))
    mapping = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, **told("Without those in `questions`.")
    )
    questions = fields.List(fields.Nested(Question), required=True)
    safe = fields.Boolean(required=True)
    notes = fields.List(fields.String(), required=True)


class Refusal(Schema):
    """A row that was not taken, and why."""

    line = fields.Integer(required=True)
    text = fields.String(required=True, **told("How it begins."))
    reason = fields.String(required=True, attribute="why")
    record = fields.String(
        required=True,
        allow_none=True,
        **told(
            "The whole row: cells of CSV as a JSON array, or the line of JSONL; null where it is not kept."
        ),
    )
