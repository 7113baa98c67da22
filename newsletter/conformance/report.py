"""What was found, for people and for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

import click

from newsletter.conformance.rules import Result, Verdict

_COLOURS = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.NOT_SHOWN: "yellow"}
_MARKS = {Verdict.PASSED: "passed", Verdict.FAILED: "FAILED", Verdict.NOT_SHOWN: "not shown"}
_INDENT = " " * 11


def table(results: Sequence[Result]) -> str:
    """A table of all rules, with colours that click takes out where it writes to no terminal."""
    lines: list[str] = []
    widest = max(len(_source(result)) for result in results)
    for section, found in groupby(results, key=lambda result: result.section):
        lines += ["", click.style(section, bold=True)]
        rows = list(found)
        for result, following in zip(rows, [*rows[1:], None], strict=True):
            mark = click.style(f"{_MARKS[result.verdict]:<9}", fg=_COLOURS[result.verdict])
            lines.append(f"{mark}  {_source(result):<{widest}}  {result.says}")
            # Why several cannot be judged is said once.
            if following is None or result.notes != following.notes:
                lines += [f"{_INDENT}{'':<{widest}}    {note}" for note in result.notes]
    return "\n".join([*lines, "", summary(results)])


def summary(results: Sequence[Result]) -> str:
    """One line that says how it went."""
    counts = Counter(result.verdict for result in results)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    return f"{len(results)} rules: {said}."


def as_json(results: Sequence[Result], subject: dict[str, str]) -> str:
    """The same for a machine."""
    counts = Counter(result.verdict for result in results)
    found = [
        {
            "rule": result.name,
            "section": result.section,
            "number": result.number,
            "source": result.source or None,
            "says": result.says,
            "verdict": result.verdict.value,
            "notes": list(result.notes),
        }
        for result in results
    ]
    counted = {verdict.value.replace(" ", "_"): counts[verdict] for verdict in Verdict}
    return json.dumps(subject | {"counts": counted, "rules": found}, ensure_ascii=False, indent=2)


def _source(result: Result) -> str:
    return ", ".join(filter(None, (result.number, result.source)))
