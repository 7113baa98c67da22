"""How many files a process may have open; each connection is one."""

from __future__ import annotations

import resource

_MOST = 65_536  # more than we need, and no more than programs that go through all of them can bear


def raise_file_limit() -> None:
    """Let this process, and those it starts, open as many as the system lets them: the usual limit of 1,024
    is there for programs of another kind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _bounded(hard)
    if _bounded(soft) < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def file_limit() -> int:
    """How many this process may open."""
    return _bounded(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _bounded(limit: int) -> int:
    return _MOST if limit == resource.RLIM_INFINITY else min(limit, _MOST)
