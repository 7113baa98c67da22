"""How passwords are kept, at their real cost: the rest of the suite hashes with less."""

from __future__ import annotations

import pytest
from argon2 import Type, extract_parameters

from newsletter.domain import passwords

_CAREFUL = passwords._hasher
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _careful(_quick_passwords: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", _CAREFUL)


def test_a_password_is_kept_as_argon2id_with_64_mebibytes_and_three_rounds() -> None:
    stored = passwords.hash_password(PASSWORD)

    costs = extract_parameters(stored)
    assert (costs.type, costs.memory_cost, costs.time_cost) == (Type.ID, 65_536, 3)
    assert passwords.is_password(stored, PASSWORD)
    assert not passwords.is_password(stored, PASSWORD + "!")
    assert not passwords.wants_new_hash(stored)


def test_where_there_is_no_password_looking_costs_the_same() -> None:
    assert not passwords.is_password(None, PASSWORD)
    assert extract_parameters(passwords._hash_of_nothing()) == extract_parameters(
        passwords.hash_password(PASSWORD)
    )
