"""What spreadsheets run is kept from them, and comes back as it was."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.domain.formulas import STARTS, bare, defused


@given(st.text(st.sampled_from(f"{STARTS}'a1 "), max_size=6))
@example("'=1")
@example("'")
@example("")
def test_a_defused_text_begins_as_no_formula_and_comes_back_as_it_was(text: str) -> None:
    assert defused(text)[:1] not in set(STARTS)
    assert bare(defused(text)) == text
