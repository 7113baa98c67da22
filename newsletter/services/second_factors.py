"""The second factor of operators: switched on and off, used, with its recovery codes (checklist O5)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain import second_factor
from newsletter.models import Operator
from newsletter.services import audit
from newsletter.services.access import Actor
from newsletter.services.operators import Ended, OperatorView, end_sessions, find, set_columns
from newsletter.settings import Settings

_OPERATORS = table_of(Operator)


def switch_on(
    session: Session,
    settings: Settings,
    now: datetime,
    actor: Actor,
    operator: OperatorView,
    secret: str,
    step: int,
    *,
    keep_session: str | None = None,
) -> list[str]:
    """Ask for a code from the next log-in on, and end all sessions but one: they were opened without. Returns
    fresh recovery codes, to be shown once."""
    _keep_secret(session, settings, operator, secret, step)
    audit.record(session, now, actor, "operator.second_factor_on", subject=operator.address)
    codes = new_recovery_codes(session, now, actor, operator, keep_session=keep_session)
    end_sessions(session, operator.id, Ended.SECOND_FACTOR_ON, keep=keep_session)
    return codes


def switch_off(
    session: Session, now: datetime, actor: Actor, operator: OperatorView, *, keep_session: str | None = None
) -> None:
    """Ask for the password alone, and end all sessions but one."""
    set_columns(session, operator.id, totp_secret=None, totp_step=None, recovery_codes=[])
    end_sessions(session, operator.id, Ended.SECOND_FACTOR_OFF, keep=keep_session)
    audit.record(session, now, actor, "operator.second_factor_off", subject=operator.address)


def new_recovery_codes(
    session: Session, now: datetime, actor: Actor, operator: OperatorView, *, keep_session: str | None = None
) -> list[str]:
    """Replace the recovery codes; the old ones no longer count, and all sessions but one end."""
    codes = second_factor.new_recovery_codes()
    set_columns(session, operator.id, recovery_codes=[second_factor.recovery_digest(code) for code in codes])
    end_sessions(session, operator.id, Ended.RECOVERY_CODES, keep=keep_session)
    audit.record(session, now, actor, "operator.recovery_codes_made", subject=operator.address)
    return codes


def _keep_secret(
    session: Session, settings: Settings, operator: OperatorView, secret: str, step: int
) -> None:
    sealed = second_factor.seal(secret, settings.secret_keys, operator.id)
    set_columns(session, operator.id, totp_secret=sealed, totp_step=step)


def use(
    session: Session, settings: Settings, now: datetime, actor: Actor, operator: OperatorView, typed: str
) -> bool:
    """Whether `typed` is the code of now, or a recovery code that is left; either counts once, and a recovery
    code ends all sessions: whoever used it is seen. The operator's row is locked, so that two requests cannot
    both use it."""
    session.execute(select(_OPERATORS.c.id).where(_OPERATORS.c.id == operator.id).with_for_update())
    fresh = find(session, operator.id)
    if fresh is None or fresh.totp_secret is None or fresh.generation != operator.generation:
        return False
    keys = (*settings.retired_keys, *settings.secret_keys)
    secret = second_factor.unseal(fresh.totp_secret, keys, fresh.id)
    step = second_factor.step_of(secret, typed, now, after=fresh.totp_step) if secret is not None else None
    if secret is not None and step is not None:
        # Each log-in seals it anew, under the newest key.
        _keep_secret(session, settings, fresh, secret, step)
        return True
    left = second_factor.without(fresh.recovery_codes, typed)
    if left is None:
        return False
    set_columns(session, fresh.id, recovery_codes=left)
    end_sessions(session, fresh.id, Ended.RECOVERY_CODE_USED)
    audit.record(session, now, actor, "operator.recovery_code_used", subject=fresh.address, left=len(left))
    return True
