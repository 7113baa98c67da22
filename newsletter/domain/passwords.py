"""Passwords of operators: what is a good one, and how it is kept (argon2id, checklist O1)."""

from __future__ import annotations

import threading
from base64 import b64encode

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

SHORTEST, LONGEST = 12, 200
# Those that are tried first, as long as they are allowed to be.
_COMMON = (
    "password", "passwort", "123456789", "1234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "iloveyou",
    "letmein", "administrator", "newsletter", "welcome", "changeme", "abcdefgh",
)  # fmt: skip
_hasher = PasswordHasher()
# Each hash takes 64 MiB: one at a time bounds what many log-ins at once can take.
_turn = threading.Lock()


class WeakPassword(ValueError):
    """The password is too easily guessed. The message says what a better one is, in one line."""


def check_password(password: str, address: str) -> None:
    """Raise `WeakPassword` unless it may be the password of whoever has this address."""
    if len(password) < SHORTEST:
        raise WeakPassword(f"Please use at least {SHORTEST} characters: a few words are easy to remember.")
    if len(password) > LONGEST:
        raise WeakPassword(f"Please use at most {LONGEST} characters.")
    bare = password.casefold()
    if bare in (address.casefold(), address.casefold().partition("@")[0]):
        raise WeakPassword("Please use something else than your address.")
    if len(set(bare)) < 5 or any(_is_made_of(bare, common) for common in _COMMON):
        raise WeakPassword("This one is tried first by whoever guesses. Please use another.")


def _is_made_of(password: str, common: str) -> bool:
    rest = password.replace(common, "")
    return len(rest) < len(password) and len(rest.strip("0123456789!?.,-_ ")) < 4


def hash_password(password: str) -> str:
    """The hash under which it is kept."""
    with _turn:
        return _hasher.hash(password)


def is_password(stored: str | None, password: str) -> bool:
    """Whether it is the one. Where none is stored the answer is no, and costs the same."""
    try:
        with _turn:
            is_it = _hasher.verify(stored or _hash_of_nothing(), password[: LONGEST + 1])
    except (VerifyMismatchError, InvalidHashError):
        return False
    return is_it and stored is not None


def wants_new_hash(stored: str) -> bool:
    """Whether it was hashed with less care than today's."""
    return _hasher.check_needs_rehash(stored)


def _hash_of_nothing() -> str:
    """A hash that no password has, written as those that have one: to check against it costs the same."""
    salt, digest = (
        b64encode(bytes(length)).decode().rstrip("=") for length in (_hasher.salt_len, _hasher.hash_len)
    )
    costs = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"
