"""Solves challenges as a browser does, by the library's own solver."""

from __future__ import annotations

from typing import Any

from altcha import Challenge, Payload, Solution, solve_challenge


def solved(challenge: dict[str, Any], **changes: Any) -> str:
    """What the form's `altcha` field holds once the challenge is solved; `changes` alter what was signed."""
    parsed = Challenge.from_dict(challenge)
    solution = solve_challenge(parsed)
    assert isinstance(solution, Solution)
    for name, value in changes.items():
        setattr(parsed.parameters, name, value)
    return Payload(parsed, solution).to_base64()
