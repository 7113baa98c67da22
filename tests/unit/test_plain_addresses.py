"""The fast way to read an address says what the whole one says."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.addresses import Address, AddressError, parse_address
from newsletter.domain.plain_addresses import _PLAIN, parse_plainly

_SAMPLES = Path(__file__).parents[3] / "shared/corpora/isemail-sample.json"
_LOCALS = ("ann", "Ann.B", "a..b", ".a", "a.", "info", "INFO", "Postmaster", "a+b", "=?utf-8?q?x", "x" * 64, "x" * 65,
    "jos\u00e9", '"a b"', "a b", "a\x00b", "", "a'b", "k\u212a", "\u0130", "a@b", "a=b?c", "\u017f")  # fmt: skip
_LABELS = ("example", "Example", "xn--bcher-kva", "ab--cd", "a--b", "abc--d", "-a", "a-", "a_b", "b\u00fccher", "x" * 63,
    "x" * 64, "1", "12", "", "\u212aelvin", "test", "y" * 60, "\uff0e", "xn--")  # fmt: skip
_TOPS = ("org", "COM", "test", "local", "localhost", "onion", "arpa", "invalid", "1", "c1", "x1y", "c-", "co-m", "xn--p1ai",
    "", "de ", "de\n", "\tde", "\u0440\u0444", "ab--c", "x" * 63, "o")  # fmt: skip
_LETTERS = "aZ09.@-_=?+'\"\\ \t\n\x00\u00e9\u212a\u3002xn"


def _said(parse: object, text: str) -> Address | str:
    try:
        return parse(text)  # type: ignore[operator,no-any-return]
    except AddressError as error:
        return str(error)


def _agree(text: str) -> None:
    # What is left to `parse_address` is its own answer.
    if _PLAIN.fullmatch(text):
        assert _said(parse_plainly, text) == _said(parse_address, text), text


def test_both_agree_on_two_hundred_thousand_texts() -> None:
    chance = random.Random(8)
    plain = 0
    for number in range(200_000):
        local, top = chance.choice(_LOCALS), chance.choice(_TOPS)
        labels = [chance.choice(_LABELS) for _ in range(chance.randint(0, 5))]
        text = f"{local}@{'.'.join([*labels, top])}"
        if number % 3 == 0:
            place = chance.randrange(len(text) + 1)
            text = text[:place] + chance.choice(_LETTERS) + text[place + chance.randint(0, 1) :]
        plain += bool(_PLAIN.fullmatch(text))
        _agree(text)
    assert plain > 4_000


@given(st.emails() | st.text() | st.from_regex(_PLAIN, fullmatch=True))
def test_both_agree_on_any_text(text: str) -> None:
    assert _said(parse_plainly, text) == _said(parse_address, text)


def test_both_agree_on_the_known_samples() -> None:
    if not _SAMPLES.exists():
        pytest.skip("the samples are not in a checkout")
    for sample in json.loads(_SAMPLES.read_text("utf-8")):
        text = sample["address"] if isinstance(sample, dict) else str(sample)
        assert _said(parse_plainly, text) == _said(parse_address, text)
