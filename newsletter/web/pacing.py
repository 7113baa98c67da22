"""Answers that leave on a beat, so that their time tells nothing of what was found (law 5, checklist A7).

The work before an answer is nearly the same for every address, but a mail that is put down or an address that
is never written to makes a difference of a fraction of a millisecond, which two hundred patient requests can
see. Whatever is done between two beats takes, to whoever waits for it, equally long."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

BEAT = 0.01  # seconds: several times what storing a sign-up takes

P = ParamSpec("P")
R = TypeVar("R")


def on_the_beat(view: Callable[P, R]) -> Callable[P, R]:
    """The view, whose answers and errors wait for the next beat, counted from when the request came."""

    @wraps(view)
    def paced(*args: P.args, **kwargs: P.kwargs) -> R:
        began = time.monotonic()
        try:
            return view(*args, **kwargs)
        finally:
            time.sleep(BEAT - (time.monotonic() - began) % BEAT)

    return paced
