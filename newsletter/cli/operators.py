"""`newsletter operators` and `newsletter tokens`: who may use the console and the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import click
from flask.cli import AppGroup

from newsletter.cli.common import CommandError, check_database, find_list
from newsletter.database import write_transaction
from newsletter.domain.roles import Role, Scope
from newsletter.domain.tickets import BROWSER_LIFE, LIFE
from newsletter.extensions import db
from newsletter.invitations import browser_link, invitation_link
from newsletter.services import lists, operators, tokens
from newsletter.services.access import COMMAND_LINE
from newsletter.services.operators import OperatorView
from newsletter.services.tokens import TokenView

operators_group = AppGroup("operators", help="Who may log in to the console: add, show, edit, reset, link.")
tokens_group = AppGroup("tokens", help="Tokens for the API: add, show, revoke.")

_ROLE = click.Choice([role.value for role in Role])


@operators_group.command("add")
@click.argument("email")
@click.option("--role", type=_ROLE, default=Role.OWNER.value, show_default=True, help="What they may do.")
@click.option("--list", "slugs", multiple=True, help="A list that they may see, not all; repeat for more.")
def add_operator(email: str, role: str, slugs: tuple[str, ...]) -> None:
    """Invite somebody; prints the link by which they set a password."""
    check_database()
    session, now = db.session(), datetime.now(UTC)
    with write_transaction(session):
        added = operators.add(session, now, COMMAND_LINE, address=email, role=Role(role), lists=_lists(slugs))
    _print_invitation(added, now)


@operators_group.command("show")
def show_operators() -> None:
    """Show all of them."""
    check_database()
    for one in operators.every(db.session()):
        state = "disabled" if one.disabled_at else "invited" if one.password_hash is None else "active"
        seen = "all lists" if one.lists is None else _names(one.lists)
        factor = "second factor" if one.totp_secret else "password only"
        click.echo(f"{one.address}  {one.role}, {state}, {factor}, {seen}")


@operators_group.command("edit")
@click.argument("email")
@click.option("--role", type=_ROLE, help="What they may do.")
@click.option("--list", "slugs", multiple=True, help="A list that they may see; replaces those before.")
@click.option("--all-lists", is_flag=True, help="They may see all lists.")
@click.option("--disable/--enable", default=None, help="Whether they may log in at all.")
def edit_operator(
    email: str, role: str | None, slugs: tuple[str, ...], all_lists: bool, disable: bool | None
) -> None:
    """Change what somebody may do. What is not named stays."""
    check_database()
    found, session = _operator(email), db.session()
    seen = None if all_lists else _lists(slugs) if slugs else found.lists
    with write_transaction(session):
        operators.edit(
            session,
            datetime.now(UTC),
            COMMAND_LINE,
            found.id,
            role=Role(role) if role else found.role,
            lists=seen,
            disabled=disable if disable is not None else found.disabled_at is not None,
        )
    click.echo(f"{found.address} is changed.")


@operators_group.command("reset")
@click.argument("email")
def reset_operator(email: str) -> None:
    """Take password and second factor away; prints a link for new ones."""
    check_database()
    found, session, now = _operator(email), db.session(), datetime.now(UTC)
    with write_transaction(session):
        found = operators.reset(session, now, COMMAND_LINE, found.id)
    _print_invitation(found, now)


@operators_group.command("link")
@click.argument("email")
def link_browser(email: str) -> None:
    """Let a new browser log in while others guess; prints a link for it."""
    check_database()
    found = _operator(email)
    minutes = BROWSER_LIFE.total_seconds() / 60
    click.echo(f"{found.address} opens this within {minutes:.0f} minutes, in the browser to log in with:")
    click.echo(browser_link(found, datetime.now(UTC)))


@tokens_group.command("add")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; repeat for more.",
)  # fmt: skip
@click.option("--list", "slugs", multiple=True, help="A list that it may see, not all; repeat for more.")
@click.option(
    "--expires-days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it lives."
)
@click.option("--never-expires", is_flag=True, help="It lives until it is revoked.")
def add_token(
    name: str, scopes: tuple[str, ...], slugs: tuple[str, ...], expires_days: int, never_expires: bool
) -> None:
    """Make a token; its text is printed once and known to nobody afterwards."""
    check_database()
    session = db.session()
    with write_transaction(session):
        _, text = tokens.add(
            session,
            datetime.now(UTC),
            COMMAND_LINE,
            name=name,
            scopes=[Scope(scope) for scope in scopes],
            lists=_lists(slugs),
            life=None if never_expires else timedelta(days=expires_days),
        )
    click.echo(text)


@tokens_group.command("show")
def show_tokens() -> None:
    """Show all of them, the newest first."""
    check_database()
    for one in tokens.every(db.session()):
        until = f"until {one.expires_at.date().isoformat()}" if one.expires_at else "for ever"
        state = "revoked" if one.revoked_at else until
        used = f"used {one.last_used_at.date().isoformat()}" if one.last_used_at else "never used"
        seen = "all lists" if one.lists is None else _names(one.lists)
        click.echo(f"{one.hint}…  {one.name}: {', '.join(sorted(one.scopes))}; {seen}; {state}; {used}")


@tokens_group.command("revoke")
@click.argument("token")
def revoke_token(token: str) -> None:
    """End a token at once: its text, its beginning as `show` prints it, or its name."""
    check_database()
    session = db.session()
    fitting = [one for one in tokens.every(session) if _fits(one, token)]
    if len(fitting) != 1:
        raise CommandError(
            f"{len(fitting)} tokens fit {token!r}: `newsletter tokens show` tells them apart"
            if fitting
            else f"no token fits {token!r}: `newsletter tokens show` names those there are"
        )
    with write_transaction(session):
        revoked = tokens.revoke(session, datetime.now(UTC), COMMAND_LINE, fitting[0].id)
    click.echo(f"{revoked.hint}… ({revoked.name}) is revoked.")


def _fits(token: TokenView, named: str) -> bool:
    return named == token.name or (len(named) >= len(token.hint) and named.startswith(token.hint))


def _operator(email: str) -> OperatorView:
    found = operators.find_by_address(db.session(), email)
    if found is None:
        raise CommandError(f"there is no operator {email}: `newsletter operators show` names those there are")
    return found


def _lists(slugs: Sequence[str]) -> list[UUID] | None:
    return [find_list(slug).id for slug in slugs] if slugs else None


def _names(ids: frozenset[UUID]) -> str:
    return ", ".join(one.slug for one in lists.every(db.session()) if one.id in ids) or "no list"


def _print_invitation(found: OperatorView, now: datetime) -> None:
    click.echo(f"{found.address} sets a password here, once, within {LIFE.total_seconds() / 3600:.0f} hours:")
    click.echo(invitation_link(found, now))
