"""The public forms. They carry no CSRF token: a page on somebody else's site has no session with us (E1)."""

from __future__ import annotations

import unicodedata
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from flask import Request
from flask_babel import gettext
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, LengthRequired
from wtforms import Field, StringField, ValidationError

from newsletter.domain.addresses import Address, AddressError
from newsletter.domain.languages import N_
from newsletter.domain.plain_addresses import parse_plainly

LONGEST_NAME = 200
_FIELDS = frozenset(
    {
        "email", "name", "locale", "next", "way", "token", "step", "altcha", "page", "leave_empty",
        "website", "code", "do", "subscription", "until", "sure",
    }
)  # fmt: skip


class Unreadable(BadRequest):
    """What was sent cannot be read. The description says why: a text of our catalogs, in English."""


class PublicForm(FlaskForm):
    """A form whose sender no cookie vouches for."""

    class Meta:
        csrf = False


class AddressForm(PublicForm):
    """An address, checked by our rules; `address` holds it once `validate` said yes."""

    address: Address
    email = StringField()

    def validate_email(self, field: Field) -> None:
        try:
            self.address = parse_plainly(field.data or "")
        except AddressError as error:
            raise ValidationError(gettext(error.text, **error.values)) from error


class ProfileForm(PublicForm):
    """What somebody is called."""

    name = StringField()

    def validate_name(self, field: Field) -> None:
        name = (field.data or "").strip()
        if len(name) > LONGEST_NAME:
            raise ValidationError(gettext("Please use at most %(most)s characters.", most=LONGEST_NAME))
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
            raise ValidationError(gettext("A name has no line breaks or other control characters."))
        field.data = name


class SignUpForm(AddressForm, ProfileForm):
    """The sign-up form: an address and, where the publisher asks for it, a name. The rest is not shown:
    the form's language, where to go next, how it was sent, on which page it began; and a trap."""

    locale = StringField()
    next = StringField()
    way = StringField()
    token = StringField()
    step = StringField()
    altcha = StringField()
    page = StringField()
    # The trap: what no person sees and no form filler knows. `website` was its name; copies of that form are
    # still on publishers' pages.
    leave_empty = StringField()
    website = StringField()

    @property
    def is_trapped(self) -> bool:
        return bool(self.leave_empty.data or self.website.data)


class CodeForm(AddressForm):
    """The six digits of the confirmation mail, for the address that they came to."""

    code = StringField()
    locale = StringField()
    page = StringField()


def _whole_body(request: Request) -> bytes:
    """The body, as long as its sender said it is. What was cut off on its way would be another address."""
    if request.content_length is None:
        raise LengthRequired
    body = request.get_data()
    if len(body) != request.content_length:
        raise Unreadable(N_("The request was cut off on its way."))
    return body


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def submitted(request: Request) -> MultiDict[str, str]:
    """What a form or a script sent: urlencoded, multipart or a flat JSON object.

    Raises `Unreadable`, or another `BadRequest`, where it did not arrive whole, or where JSON is malformed,
    too deep, or not made of texts.
    """
    body = _whole_body(request)
    if not request.is_json:
        if request.mimetype == "application/x-www-form-urlencoded" and not _is_utf8(unquote_to_bytes(body)):
            # From a page in an old encoding, which nearly always is Latin-1.
            return MultiDict(parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1"))
        return request.form
    try:
        sent: Any = request.get_json()
    except RecursionError as error:
        raise Unreadable(N_("The JSON is nested too deeply.")) from error
    if not isinstance(sent, dict):
        raise Unreadable(N_('The JSON must be an object such as {"email": "ann@example.org"}.'))
    fields = {key: value for key, value in sent.items() if key in _FIELDS and value is not None}
    if not all(isinstance(value, str) for value in fields.values()):
        raise Unreadable(N_("Every field of the JSON must be a text."))
    return MultiDict(fields)
