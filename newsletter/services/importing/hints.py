"""Columns that would become attributes though they hold what a column of its own is for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from newsletter.services.importing.judging import is_date
from newsletter.services.importing.options import ATTRIBUTE

_ADDRESS = re.compile(r"\S+@\S+\.\S+")


def hints(mapping: Mapping[str, str], cells: Mapping[str, Collection[str]]) -> list[str]:
    """What should be looked at, for the columns that the `mapping` makes attributes; `cells` are some of what
    stands in each column."""
    said = []
    for column, field in mapping.items():
        filled = [stripped for cell in cells.get(column, ()) if (stripped := cell.strip())]
        if not filled or not field.startswith(ATTRIBUTE):
            continue
        if all(map(is_date, filled)):
            said.append(
                f"The column {column!r} is full of dates, and would become an attribute: say whether they "
                "are when people signed up, confirmed, left or bounced."
            )
        elif all(map(_ADDRESS.fullmatch, filled)):
            said.append(
                f"The column {column!r} is full of email addresses, and would become an attribute: see "
                "whether it is the one that mail should go to."
            )
    return said
