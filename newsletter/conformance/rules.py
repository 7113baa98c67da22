"""What a rule is, and what became of it.

A rule's function yields what it finds wrong, in words for an operator; finding nothing is passing. Where a
rule cannot be judged, it raises `NotShown`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPException
from typing import Generic, TypeVar

T = TypeVar("T")
_MOST_FAULTS = 6  # of one rule: more of them tell nothing new


class CannotCheck(Exception):
    """Nothing can be said of the service. The message is one line that somebody can act on."""


class NotShown(Exception):
    """This rule can be judged elsewhere only; the message says where or why."""


class Verdict(StrEnum):
    """What became of a rule."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True)
class Rule(Generic[T]):
    """`number` is the service's own number of the rule, `source` the standard that asks for it."""

    name: str
    says: str
    number: str
    source: str
    in_public: bool
    check: Callable[[T], Iterable[str]]


@dataclass(frozen=True)
class Result:
    """A rule and its verdict, with what was found, or why it could not be judged."""

    section: str
    name: str
    says: str
    number: str
    source: str
    verdict: Verdict
    notes: tuple[str, ...] = ()


class Rules(Generic[T]):
    """The rules of one section, in the order in which they are written down."""

    def __init__(self, section: str) -> None:
        self.section = section
        self.rules: list[Rule[T]] = []

    def rule(
        self, says: str, number: str, source: str = "", *, in_public: bool = False
    ) -> Callable[[Callable[[T], Iterable[str]]], Callable[[T], Iterable[str]]]:
        """Write a rule down; its name is the function's. One that is `in_public` can be judged from outside,
        without a reader."""

        def write_down(check: Callable[[T], Iterable[str]]) -> Callable[[T], Iterable[str]]:
            name = check.__name__.strip("_").replace("_", "-")
            self.rules.append(Rule(name, says, number, source, in_public, check))
            return check

        return write_down

    def judge(self, things: Mapping[str, T], *, in_public: bool = False) -> Iterator[Result]:
        """Every rule's result over `things`, each under the name that its faults are told with."""
        for rule in self.rules:
            if rule.in_public or not in_public:
                yield self._judged(rule, things)

    def _judged(self, rule: Rule[T], things: Mapping[str, T]) -> Result:
        faults: list[str] = []
        reasons: list[str] = []
        for name, thing in things.items():
            before = f"{name}: " if name else ""
            try:
                faults += [before + fault for fault in rule.check(thing)]
            except NotShown as reason:
                reasons.append(str(reason))
            except (OSError, HTTPException) as error:
                faults.append(f"{before}no answer: {type(error).__name__}: {error}"[:300])
        verdict = Verdict.PASSED
        notes: tuple[str, ...] = ()
        if faults:
            verdict, notes = Verdict.FAILED, tuple(dict.fromkeys(faults))
        elif len(reasons) == len(things):
            verdict, notes = Verdict.NOT_SHOWN, tuple(dict.fromkeys(reasons))
        if len(notes) > _MOST_FAULTS:
            notes = (*notes[:_MOST_FAULTS], f"and {len(notes) - _MOST_FAULTS} more")
        return Result(self.section, rule.name, rule.says, rule.number, rule.source, verdict, notes)
