"""Memory of the whole service: web processes, worker, and who watches over them."""

from __future__ import annotations

import re
import time
import urllib.request
from pathlib import Path

from bench import loads, servers
from bench.ground import Ground
from bench.table import Line, at_most

_MOST = 200  # MiB


def memory(ground: Ground) -> list[Line]:
    """PSS counts a page that processes share once in all; RSS, for comparison, counts it in each."""
    site = ground.on_sqlite()
    with servers.service(site.environ, with_worker=True) as service:
        for _ in range(20):
            with urllib.request.urlopen(service.origin, timeout=10):
                pass
        time.sleep(5)
        rest, rss, count = _sum(service.pid, "Pss"), _sum(service.pid, "Rss"), len(_tree(service.pid))
        loads.sign_ups(service, ground.folder, ground.seconds)
        time.sleep(1)
        loaded = _sum(service.pid, "Pss")
    return [
        at_most(
            "memory of the whole service at rest", rest, _MOST, "MiB PSS",
            note=f"{count} processes, RSS in sum {rss:.0f} MiB; PSS after a load {loaded:.0f} MiB",
        )
    ]  # fmt: skip


def _tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text("ascii").split():
            found += _tree(int(child))
    return found


def _sum(pid: int, kind: str) -> float:
    """MiB of the whole tree."""
    total = 0
    for each in _tree(pid):
        said = Path(f"/proc/{each}/smaps_rollup").read_text("ascii")
        total += sum(int(found) for found in re.findall(rf"^{kind}:\s+(\d+) kB", said, re.MULTILINE))
    return total / 1024
