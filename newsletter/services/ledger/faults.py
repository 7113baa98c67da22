"""What verifying says of a stretch of the ledger."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something that is not as it was stored: what, and at which number of the journal; None for what has
    none."""

    seq: int | None
    what: str


@dataclass(frozen=True)
class Checked:
    """A stretch of a list that was checked: how many events are as they were stored, how many were erased,
    and what is wrong."""

    intact: int
    erased: int
    faults: tuple[Fault, ...]
