"""Return paths: made by us, proven by us, and of one purpose."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.return_paths import Forged, NotOurs, Purpose, ReturnPath, ReturnPaths

OLD, NEW = "o" * 40, "n" * 40
PATHS = ReturnPaths("Back.News.example", [NEW])


@given(st.uuids())
def test_b2_an_address_names_what_it_was_made_for_whatever_its_case(identifier: UUID) -> None:
    address = PATHS.bounce_address(identifier)
    local, _, _ = address.partition("@")

    assert len(local) <= 64
    assert local == local.lower()
    assert PATHS.read(f"<{address.upper()}>") == ReturnPath(Purpose.BOUNCE, identifier)
    assert PATHS.read(PATHS.unsubscribe_address(identifier)) == ReturnPath(Purpose.UNSUBSCRIBE, identifier)


def test_d1_an_address_of_one_purpose_is_none_of_another() -> None:
    address = PATHS.bounce_address(uuid4()).replace("bounce-", "unsubscribe-")

    with pytest.raises(Forged):
        PATHS.read(address)


@pytest.mark.parametrize("place", range(45))
def test_b2_one_altered_character_is_a_forgery(place: int) -> None:
    word, _, rest = PATHS.bounce_address(UUID(int=5)).partition("-")
    other = "b" if rest[place] != "b" else "c"

    with pytest.raises(Forged):
        PATHS.read(f"{word}-{rest[:place]}{other}{rest[place + 1 :]}")


@pytest.mark.parametrize("cut", [1, 20, 44])
def test_b2_a_shortened_token_is_a_forgery(cut: int) -> None:
    local, _, domain = PATHS.bounce_address(uuid4()).partition("@")

    with pytest.raises(Forged):
        PATHS.read(f"{local[:-cut]}@{domain}")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@",
        "news@back.news.example",
        "bounce-@back.news.example",
        "bounce-0189@back.news.example",
        "x" * 10_000,
    ],
    ids=["empty", "at", "other", "no token", "foreign letters", "long"],
)
def test_what_looks_like_none_of_ours_is_none(address: str) -> None:
    with pytest.raises(NotOurs):
        PATHS.read(address)


def test_another_domain_is_not_ours() -> None:
    with pytest.raises(NotOurs):
        PATHS.read(PATHS.bounce_address(uuid4()).replace("back.", "front."))


@pytest.mark.parametrize("keys", [([OLD, NEW], []), ([NEW], [OLD])], ids=["rotated", "retired"])
def test_d2_addresses_outlive_the_key_that_made_them(keys: tuple[list[str], list[str]]) -> None:
    identifier = uuid4()
    made = ReturnPaths("back.news.example", [OLD]).bounce_address(identifier)

    assert ReturnPaths("back.news.example", *keys).read(made).id == identifier
    with pytest.raises(Forged):
        PATHS.read(made)
