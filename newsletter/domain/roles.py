"""Who may do what: the roles of operators, and the scopes that a role or an API token holds."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """One kind of work. An API token holds those that it was given, an operator those of their role."""

    READ_LISTS = "lists:read"
    WRITE_LISTS = "lists:write"
    READ_SUBSCRIBERS = "subscribers:read"
    WRITE_SUBSCRIBERS = "subscribers:write"
    EXPORT = "exports"
    IMPORT = "imports"
    OUTBOX = "outbox"
    WEBHOOKS = "webhooks"
    ADMIN = "admin"  # operators, API tokens, the audit log; new lists


class Role(StrEnum):
    """An operator's role, on the lists that they may see; an owner sees all."""

    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"


SCOPES: dict[Role, frozenset[Scope]] = {
    Role.OWNER: frozenset(Scope),
    Role.EDITOR: frozenset(Scope) - {Scope.ADMIN, Scope.WEBHOOKS},
    Role.VIEWER: frozenset({Scope.READ_LISTS, Scope.READ_SUBSCRIBERS}),
}
