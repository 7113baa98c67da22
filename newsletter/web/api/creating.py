"""Calls that create something: in one transaction, once for each Idempotency-Key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Response, json, request
from marshmallow import Schema
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from newsletter.database import Conflict, write_transaction
from newsletter.extensions import db
from newsletter.services import idempotency
from newsletter.services.idempotency import Answer, Call, OtherRequest
from newsletter.web.api.access import token_id
from newsletter.web.problems import Problem

_KEY = re.compile(rf"[\x21-\x7e]{{1,{idempotency.LONGEST}}}")


@dataclass(frozen=True)
class Made:
    """What was made, as its schema takes it. The status is another where it was there before."""

    what: Any
    status: int = 201


_TRIES = 3
Make = Callable[[Session, datetime], Made]


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": idempotency.LONGEST, "pattern": "^[!-~]+$"},
    "description": "A new text for each thing to be created, such as a UUID. The same call, sent again "
    "within 24 hours, creates nothing again and gets the same answer.",
}


def create(
    make: Make, schema: type[Schema], *, digest: str | None = None, once: str | None = None
) -> Response:
    """Answer with what `make` creates, as `schema` shows it. `digest` is the SHA-256 of a body that is read
    already. The field `once` is shown to the first call alone, and null to a replayed one: it is stored
    nowhere."""
    call = _call(digest)
    try:
        answer, replayed = _made(make, schema, call, once)
    except IntegrityError as error:
        raise Problem(409, "conflict", "Somebody else made the same at the same moment.") from error
    except OtherRequest as error:
        wrong = {"Idempotency-Key": "Was used for another request."}
        raise Problem(422, "idempotency_key_reused", f"{error}.", errors=wrong) from error
    return _response(answer, replayed=replayed)


def _made(
    make: Make, schema: type[Schema], call: Call | None, once: str | None, *, tries_left: int = _TRIES
) -> tuple[Answer, bool]:
    """The answer, and whether it was given before."""
    now, session = datetime.now(UTC), db.session()
    try:
        with write_transaction(session):
            given = idempotency.claim(session, now, call) if call else None
            if given is not None:
                return given, True
            made = make(session, now)
            shown = schema().dump(made.what)
            if call:
                kept = shown | {once: None} if once else shown
                idempotency.keep(session, call, Answer(made.status, json.dumps(kept)))
            return Answer(made.status, json.dumps(shown)), False
    except Conflict:
        if tries_left <= 1:
            raise
        return _made(make, schema, call, once, tries_left=tries_left - 1)


def _call(digest: str | None) -> Call | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        wrong = f"Must be 1 to {idempotency.LONGEST} visible ASCII characters."
        raise Problem(
            422, "invalid", "The Idempotency-Key cannot be used.", errors={"Idempotency-Key": wrong}
        )
    asked = hashlib.sha256()
    for part in (
        request.method.encode(),
        request.full_path.encode(),
        (request.mimetype or "").encode(),
        (digest or hashlib.sha256(request.get_data()).hexdigest()).encode(),
    ):
        asked.update(len(part).to_bytes(4) + part)
    return Call(token_id(), key, asked.hexdigest())


def _response(answer: Answer, *, replayed: bool) -> Response:
    response = Response(answer.body, status=answer.status, content_type="application/json")
    location = json.loads(answer.body).get("self")
    if location:
        response.headers["Location"] = location
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response
