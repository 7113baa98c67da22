"""`python -m bench [--only NAME ...] [--quick]`: run the rows, print one table, keep it in bench/out/."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

from bench.ground import Ground
from bench.rows import ROWS
from bench.table import Line, render
from bench.tools import Broken, Missing

_OUT = Path(__file__).parent / "out"


def main() -> int:
    """Exit status 1 where a row could not be measured though its tools are there."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=sorted(ROWS), help=f"of: {', '.join(ROWS)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="short loads and 100,000 subscribers, not a million"
    )
    options = parser.parse_args()
    # Whoever ends us early must find no server left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    lines: list[Line] = []
    broken = False
    with ExitStack() as stack:
        ground = Ground.prepare(stack, quick=options.quick)
        for name, measure in ROWS.items():
            if options.only and name not in options.only:
                continue
            began = time.monotonic()
            try:
                lines += measure(ground)
            except Missing as missing:
                lines.append(Line.unmeasured(name, str(missing)))
            except (Broken, OSError, subprocess.SubprocessError, psycopg.Error) as error:
                broken = True
                lines.append(Line.unmeasured(name, " ".join(f"failed: {error}".split())[:300]))
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        report = f"{ground.machine()}\n\n{render(lines)}"
    print(report)
    _OUT.mkdir(exist_ok=True)
    (_OUT / "table.md").write_text(report + "\n", "utf-8")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
