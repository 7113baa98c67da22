"""The consent history that an archive of this service brings with each subscription: taken as it is, where
its steps lead from one to the next and to the state that the row names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from newsletter.database import rfc3339
from newsletter.domain.lifecycle import IMPORTS, MOVES, Event, State

_MOST = 1000
_TEXTS = {"way": 16, "origin": 300, "page": 500, "network": 64, "agent": 300, "message_id": 320}


@dataclass(frozen=True)
class Past:
    """Events, each as a row of the table save list and subscription; and the words they refer to."""

    events: tuple[dict[str, Any], ...]
    wordings: dict[str, str]


def past_of(brought: Any, state: State | None, now: datetime) -> Past | str | None:
    """The history that a cell holds, or why it is refused; None where it is empty."""
    if isinstance(brought, str):
        try:
            brought = json.loads(brought)
        except (ValueError, RecursionError):
            return "the history is no JSON"
    if not isinstance(brought, list) or len(brought) > _MOST or not all(isinstance(e, dict) for e in brought):
        return f"the history is no list of at most {_MOST} events"
    if not brought:
        return None
    events: list[dict[str, Any]] = []
    wordings: dict[str, str] = {}
    stands: State | None = None
    for told in brought:
        event = _event(told, now, wordings)
        if isinstance(event, str):
            return event
        if event["before"] != stands or not _follows(event):
            return "the history does not lead from one event to the next"
        stands = event["after"]
        events.append(event)
    if stands is None or stands is not state:
        return "the history does not lead to the state"
    return Past(tuple(events), wordings)


def _event(told: Mapping[str, Any], now: datetime, wordings: dict[str, str]) -> dict[str, Any] | str:
    try:
        kind = Event(told["kind"])
        before, after = (State(told[key]) if told.get(key) else None for key in ("before", "after"))
        at = datetime.fromisoformat(told["at"])
        if at.tzinfo is None or at > now + timedelta(days=1):
            return "an event of the history has no time, or one in the future"
    except (KeyError, ValueError, TypeError):
        return "an event of the history is none of this service"
    row: dict[str, Any] = {"kind": kind.value, "before": before, "after": after, "at": rfc3339(at)}
    for key, most in _TEXTS.items():
        value = told.get(key)
        if value is not None and (not isinstance(value, str) or len(value) > most or not _is_clean(value)):
            return f"the {key} of an event of the history is none"
        row[key] = value
    if row["way"] is None:
        return "an event of the history does not say by which way it came"
    words = told.get("words")
    if words is not None and (
        not isinstance(words, str) or "\0" in words or not _is_clean(words, lines=True)
    ):
        return "the words of an event of the history are no text"
    row["wording"] = _remember(words, wordings) if words else None
    return row


def _remember(words: str, wordings: dict[str, str]) -> str:
    digest = hashlib.sha256(words.encode()).hexdigest()
    wordings[digest] = words
    return digest


def _is_clean(text: str, *, lines: bool = False) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(character) < 32 and not (lines and character == "\n") for character in text)


def _follows(event: Mapping[str, Any]) -> bool:
    """Whether the rules of this service allow this step."""
    before, after = event["before"], event["after"]
    if event["kind"] == Event.IMPORT:
        return before is after or after in IMPORTS[before].values()
    if event["kind"] == Event.FORGET:
        return False
    return MOVES.get((before, Event(event["kind"]))) is after
