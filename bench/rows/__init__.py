"""The rows of the table, by the name that `--only` takes."""

from __future__ import annotations

from collections.abc import Callable

from bench.ground import Ground
from bench.rows import (
    console,
    doors,
    embedding,
    exporting,
    growth,
    importing,
    lanes,
    limits,
    loris,
    outbox,
    resting,
    signing_up,
    timing,
)
from bench.table import Line

ROWS: dict[str, Callable[[Ground], list[Line]]] = {
    "sign-up-postgresql": signing_up.on_postgresql,
    "sign-up-sqlite": signing_up.on_sqlite,
    "limits": limits.limits,
    "slow-clients": loris.loris,
    "timing": timing.timing,
    "embed-script": embedding.embed_script,
    "one-click": doors.one_click,
    "confirm": doors.confirm,
    "export-postgresql": exporting.from_postgresql,
    "export-sqlite": exporting.from_sqlite,
    "import-postgresql": importing.into_postgresql,
    "import-sqlite": importing.into_sqlite,
    "outbox": outbox.throughput,
    "first-mail": outbox.first_mail,
    "lanes": lanes.lanes,
    "console-postgresql": console.on_postgresql,
    "console-sqlite": console.on_sqlite,
    "memory": resting.memory,
    "growth": growth.growth,
}
