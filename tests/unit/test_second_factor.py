"""The second factor's secret, as it is kept."""

from __future__ import annotations

from uuid import UUID

from newsletter.domain.second_factor import new_secret, seal, unseal

OLD, NEW = "o" * 32, "n" * 32
ANN, BOB = UUID(int=1), UUID(int=2)


def test_a_sealed_secret_is_opened_by_its_key_for_its_operator_and_by_nothing_else() -> None:
    secret = new_secret()
    sealed = seal(secret, [OLD, NEW], ANN)

    assert unseal(sealed, [NEW], ANN) == unseal(sealed, [NEW, OLD], ANN) == secret
    assert unseal(sealed, [OLD], ANN) is None
    assert unseal(sealed, [OLD, NEW], BOB) is None
    assert unseal(f"{'A' * 8}{sealed[8:]}", [OLD, NEW], ANN) is None


def test_a_sealed_secret_fits_its_column_and_is_never_the_same_twice() -> None:
    secret = new_secret()
    sealed = {seal(secret, [NEW], ANN) for _ in range(3)}

    assert {len(one) for one in sealed} == {64}
    assert len(sealed) == 3
