"""The consent history that an archive of this service brings with each subscription: taken as it is, where
its steps lead from one to the next and to the state that the row names.

Anybody can write such a file. So a history is not yet a proof of consent: see `Past.proves_consent`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from newsletter.domain.lifecycle import Event, State, is_step
from newsletter.domain.nesting import is_too_deep
from newsletter.services.importing.moments import is_in_the_future, parse_moment

_MOST = 1000
_DEEPEST = 3  # a list of events, each with plain values
_CLOCKS = timedelta(minutes=5)  # by which the clocks of two machines may differ
_TEXTS = {"way": 16, "origin": 300, "page": 500, "network": 64, "agent": 300, "message_id": 320}


@dataclass(frozen=True)
class Past:
    """Events, each as a row of the table save list and subscription; and the words they refer to."""

    events: tuple[dict[str, Any], ...]
    wordings: dict[str, str]

    @property
    def proves_consent(self) -> bool:
        """Whether its moments follow each other, and its last way to being confirmed was one: the reader's
        own confirmation, or what somebody stated in words. An import that states nothing is none."""
        moments = [event["at"] for event in self.events]
        if any(later < earlier - _CLOCKS for earlier, later in pairwise(moments)):
            return False
        ways = [event for event in self.events if _confirms(event)]
        if not ways:
            return False
        stated = self.wordings.get(ways[-1]["wording"], "")
        return ways[-1]["kind"] == Event.CONFIRM or not (stated == "" or stated.isspace())


def past_of(brought: Any, state: State | None, now: datetime) -> Past | str | None:
    """The history that a cell holds, or why it is refused; None where it is empty."""
    if isinstance(brought, str):
        try:
            brought = json.loads(brought)
        except (ValueError, RecursionError):
            return "the history is no JSON"
    if is_too_deep(brought, _DEEPEST):
        return "the history is nested too deeply"
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
        if event["before"] != stands or not is_step(event["kind"], event["before"], event["after"]):
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
        at = parse_moment(told["at"])
    except (KeyError, ValueError, TypeError):
        return "an event of the history is none of this service"
    if at is None or is_in_the_future(at, now):
        return "an event of the history has no time, or one that cannot be"
    row: dict[str, Any] = {"kind": kind.value, "before": before, "after": after, "at": at}
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


def _confirms(event: Mapping[str, Any]) -> bool:
    return event["after"] is State.CONFIRMED and event["before"] is not State.CONFIRMED


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
