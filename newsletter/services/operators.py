"""Operators: inviting them, what they may do, their passwords and second factors."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.addresses import AddressError, parse_address
from newsletter.domain.ids import new_id
from newsletter.domain.roles import SCOPES, Role
from newsletter.models import Operator, OperatorList, OperatorSession
from newsletter.services import audit, tokens
from newsletter.services.access import Actor


class Ended(StrEnum):
    """Why an operator's sessions were ended. Whatever changes how they log in or what they may do is here."""

    PASSWORD = "password"  # noqa: S105 - it was changed
    SECOND_FACTOR_ON = "second_factor_on"
    SECOND_FACTOR_OFF = "second_factor_off"
    RECOVERY_CODES = "recovery_codes"  # new ones were made
    RECOVERY_CODE_USED = "recovery_code_used"
    RIGHTS = "rights"  # another role or other lists
    DISABLED = "disabled"
    RESET = "reset"


class OperatorError(Exception):
    """An operator cannot be made or changed as asked. The message says why, in one line."""


@dataclass(frozen=True)
class OperatorView:
    """An operator, as the other rooms see them. `lists` are those that they may see; None is all."""

    id: UUID
    address: str
    role: Role
    lists: frozenset[UUID] | None
    password_hash: str | None
    stamp: str  # of the invitation that is open; empty where none is
    totp_secret: str | None  # sealed: see newsletter.domain.second_factor
    totp_step: int | None
    recovery_codes: tuple[str, ...]
    created_at: datetime
    last_login_at: datetime | None
    disabled_at: datetime | None
    generation: int  # sessions of another one have ended
    ended_because: Ended | None

    def actor(self, network: str | None = None) -> Actor:
        """Who they are to the rest of the service."""
        return Actor(self.address, SCOPES[self.role], self.lists, network)


_OPERATORS, _THEIR_LISTS = table_of(Operator), table_of(OperatorList)
_SESSIONS = table_of(OperatorSession)


def find(session: Session, operator_id: UUID) -> OperatorView | None:
    """The operator with this id."""
    return next(iter(_views(session, _OPERATORS.c.id == operator_id)), None)


def find_by_address(session: Session, typed: str) -> OperatorView | None:
    """The operator with this address, however it is written."""
    try:
        identity = parse_address(typed).identity
    except AddressError:
        return None
    return next(iter(_views(session, _OPERATORS.c.identity == identity)), None)


def every(session: Session) -> list[OperatorView]:
    """All operators, in order of address."""
    return _views(session, _OPERATORS.c.id.is_not(None))


def _views(session: Session, which: Any) -> list[OperatorView]:
    rows = session.execute(select(_OPERATORS).where(which).order_by(_OPERATORS.c.identity)).mappings().all()
    lists: dict[UUID, set[UUID]] = {row["id"]: set() for row in rows}
    for operator_id, list_id in session.execute(
        select(_THEIR_LISTS.c.operator_id, _THEIR_LISTS.c.list_id).where(
            _THEIR_LISTS.c.operator_id.in_(list(lists))
        )
    ):
        lists[operator_id].add(list_id)
    return [
        OperatorView(
            id=row["id"],
            address=row["address"],
            role=Role(row["role"]),
            lists=None if row["all_lists"] else frozenset(lists[row["id"]]),
            password_hash=row["password_hash"],
            stamp=row["invitation"] or "",
            totp_secret=row["totp_secret"],
            totp_step=row["totp_step"],
            recovery_codes=tuple(row["recovery_codes"]),
            created_at=row["created_at"],
            last_login_at=row["last_login_at"],
            disabled_at=row["disabled_at"],
            generation=row["generation"],
            ended_because=Ended(row["ended_because"]) if row["ended_because"] else None,
        )
        for row in rows
    ]


def add(
    session: Session,
    now: datetime,
    actor: Actor,
    *,
    address: str,
    role: Role,
    lists: Collection[UUID] | None,
) -> OperatorView:
    """Invite somebody: they can log in when they have set a password. Raises `OperatorError`, and `TooMuch`
    where they could do what the actor cannot."""
    try:
        parsed = parse_address(address)
    except AddressError as error:
        raise OperatorError(f"{address!r} is no email address: {error}") from error
    if find_by_address(session, address) is not None:
        raise OperatorError(f"there is an operator {parsed.text} already")
    _must_cover(actor, role, lists)
    identifier = new_id(now)
    session.execute(
        insert(_OPERATORS),
        [
            {
                "id": identifier,
                "address": parsed.text,
                "identity": parsed.identity,
                "role": role.value,
                "all_lists": lists is None or role is Role.OWNER,
                "invitation": _new_stamp(),
                "recovery_codes": [],
                "created_at": now,
            }
        ],
    )
    _set_lists(session, identifier, role, lists)
    audit.record(session, now, actor, "operator.added", subject=parsed.text, role=role.value)
    return _must_find(session, identifier)


def edit(
    session: Session,
    now: datetime,
    actor: Actor,
    operator_id: UUID,
    *,
    role: Role,
    lists: Collection[UUID] | None,
    disabled: bool,
    keep_session: str | None = None,
) -> OperatorView:
    """Change what somebody may do, which ends their sessions but one, and tokens that they made and that may
    do more. Raises `OperatorError`, and `TooMuch` where they can do what the actor cannot, or could then."""
    before = _must_find(session, operator_id)
    _must_cover(actor, before.role, before.lists)
    _must_cover(actor, role, lists)
    if (role is not Role.OWNER or disabled) and _is_last_owner(session, before):
        raise OperatorError(f"{before.address} is the only owner who can log in: make another one first")
    set_columns(
        session,
        operator_id,
        role=role.value,
        all_lists=lists is None or role is Role.OWNER,
        disabled_at=(before.disabled_at or now) if disabled else None,
    )
    _set_lists(session, operator_id, role, lists)
    audit.record(
        session, now, actor, "operator.edited", subject=before.address, role=role.value, disabled=disabled
    )
    after = _must_find(session, operator_id)
    if disabled and before.disabled_at is None:
        end_sessions(session, operator_id, Ended.DISABLED)
    elif (after.role, after.lists) != (before.role, before.lists):
        end_sessions(session, operator_id, Ended.RIGHTS, keep=keep_session)
    scopes = frozenset() if disabled else SCOPES[role]
    tokens.revoke_beyond(session, now, actor, made_by=after.address, scopes=scopes, lists=after.lists)
    return _must_find(session, operator_id)


def reset(session: Session, now: datetime, actor: Actor, operator_id: UUID) -> OperatorView:
    """Take password and second factor away: a new invitation is the only way in. Raises `TooMuch` where they
    can do what the actor cannot: whoever has the invitation can be them."""
    found = _must_find(session, operator_id)
    _must_cover(actor, found.role, found.lists)
    set_columns(
        session, operator_id,
        password_hash=None, invitation=_new_stamp(), totp_secret=None, totp_step=None, recovery_codes=[],
    )  # fmt: skip
    end_sessions(session, operator_id, Ended.RESET)
    audit.record(session, now, actor, "operator.reset", subject=found.address)
    return _must_find(session, operator_id)


def accept(
    session: Session, now: datetime, actor: Actor, operator: OperatorView, hashed: str
) -> OperatorView:
    """Take an invitation: of two who use its link at the same time, one. Raises `OperatorError`."""
    taken = session.execute(
        update(_OPERATORS)
        .where(
            _OPERATORS.c.id == operator.id,
            _OPERATORS.c.invitation == operator.stamp,
            _OPERATORS.c.disabled_at.is_(None),
        )
        .values(invitation=None)
        .returning(_OPERATORS.c.id)
    ).one_or_none()
    if taken is None:
        raise OperatorError("this invitation was used already")
    set_password(session, now, actor, operator, hashed)
    return _must_find(session, operator.id)


def set_password(
    session: Session,
    now: datetime,
    actor: Actor,
    operator: OperatorView,
    hashed: str,
    *,
    keep_session: str | None = None,
) -> None:
    """Store the hash of a password that was checked, and end all sessions but one (checklist O2)."""
    keep_hash(session, operator.id, hashed)
    end_sessions(session, operator.id, Ended.PASSWORD, keep=keep_session)
    audit.record(session, now, actor, "operator.password_set", subject=operator.address)


def keep_hash(session: Session, operator_id: UUID, hashed: str) -> None:
    """Store the hash of a password. Hashing takes long, so it is done before the transaction: on SQLite
    nobody else could write meanwhile."""
    set_columns(session, operator_id, password_hash=hashed)


def _must_cover(actor: Actor, role: Role, lists: Collection[UUID] | None) -> None:
    actor.must_cover(SCOPES[role], None if role is Role.OWNER else lists)


def _new_stamp() -> str:
    return secrets.token_urlsafe(16)


def _must_find(session: Session, operator_id: UUID) -> OperatorView:
    found = find(session, operator_id)
    if found is None:
        raise OperatorError("there is no such operator")
    return found


def _is_last_owner(session: Session, operator: OperatorView) -> bool:
    # Locked, in one order: two owners cannot take each other away at the same time.
    owners = session.scalars(
        select(_OPERATORS.c.id)
        .where(
            _OPERATORS.c.role == Role.OWNER.value,
            _OPERATORS.c.disabled_at.is_(None),
            _OPERATORS.c.password_hash.is_not(None),
        )
        .order_by(_OPERATORS.c.id)
        .with_for_update()
    ).all()
    return owners == [operator.id]


def set_columns(session: Session, operator_id: UUID, **values: Any) -> None:
    """Store new values of an operator's columns."""
    session.execute(update(_OPERATORS).where(_OPERATORS.c.id == operator_id).values(**values))


def _set_lists(session: Session, operator_id: UUID, role: Role, lists: Collection[UUID] | None) -> None:
    session.execute(delete(_THEIR_LISTS).where(_THEIR_LISTS.c.operator_id == operator_id))
    if lists and role is not Role.OWNER:
        rows: Sequence[dict[str, UUID]] = [{"operator_id": operator_id, "list_id": one} for one in lists]
        session.execute(insert(_THEIR_LISTS), rows)


def end_sessions(session: Session, operator_id: UUID, because: Ended, *, keep: str | None = None) -> None:
    """End an operator's sessions, save one, and log-ins that are half done. Their rows stay for a while, so
    that whoever comes with one is told why."""
    generation = session.scalar(
        update(_OPERATORS)
        .where(_OPERATORS.c.id == operator_id)
        .values(generation=_OPERATORS.c.generation + 1, ended_because=because.value)
        .returning(_OPERATORS.c.generation)
    )
    if keep is not None:
        session.execute(
            update(_SESSIONS)
            .where(
                _SESSIONS.c.digest == keep,
                _SESSIONS.c.operator_id == operator_id,
                _SESSIONS.c.generation == generation - 1,
            )
            .values(generation=generation)
        )
