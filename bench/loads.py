"""The loads: wrk against the service, and the raw limits that it is held against."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from bench.servers import Postgres, Service
from bench.tools import Broken, find, run

CONNECTIONS = 16
_DRAIN = 1  # seconds for the last answers to arrive

# Every request is sent once, and none is cut off: when its time is over, a connection waits instead of asking
# again. So what the database holds afterwards can be counted against the answers, to the last row.
# wrk calls `request` once before the run without sending it.
_SCRIPT = """
local ffi = require("ffi")
ffi.cdef[[
  typedef struct { long seconds; long nanoseconds; } bench_moment;
  int clock_gettime(int clock, bench_moment *moment);
]]
local moment = ffi.new("bench_moment")
local function clock()
  ffi.C.clock_gettime(1, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

local threads, paths, seconds, tag, checked = {}, nil, 0, "", false
sent, first, last = 0, 0, 0

function setup(thread) table.insert(threads, thread) end

function init(args)
  seconds, tag = tonumber(args[1]), args[2]
  if args[3] then
    paths = {}
    for line in io.lines(args[3]) do table.insert(paths, line) end
  end
end

function delay()
  local over = first > 0 and clock() - first > seconds
  return (over or (paths and sent >= #paths)) and 3600000 or 0
end

local headers = {["Content-Type"] = "application/x-www-form-urlencoded"}

function request()
  if not checked then
    checked = true
    return wrk.format("GET", "/healthz")
  end
  sent, last = sent + 1, clock()
  if first == 0 then first = last end
  -- Each from a network of its own, for services that trust a proxy in front; others do not look at it.
  headers["X-Forwarded-For"] = string.format(
    "10.%d.%d.%d", math.floor(sent / 65536) % 256, math.floor(sent / 256) % 256, sent % 256)
  if paths then return wrk.format("POST", paths[sent], headers, "List-Unsubscribe=One-Click") end
  local form = "email=" .. tag .. sent .. "%40example.org"
  return wrk.format("POST", "/lists/daily/subscriptions", headers, form)
end

function done(summary, latency)
  local thread, errors = threads[1], summary.errors
  local cut = errors.connect + errors.read + errors.write + errors.timeout
  io.write("\\nBENCH ", string.format(
    '{"sent": %d, "answered": %d, "refused": %d, "cut": %d, ',
    thread:get("sent"), summary.requests, errors.status, cut))
  io.write(string.format(
    '"seconds": %.6f, "p99": %.3f, "slowest": %.3f}\\n',
    thread:get("last") - thread:get("first"), latency:percentile(99) / 1000, latency.max / 1000))
end
"""


@dataclass(frozen=True)
class Answers:
    """What came back from the service. `p99` and `slowest` are milliseconds."""

    sent: int
    answered: int
    refused: int
    cut: int
    seconds: float
    p99: float
    slowest: float

    @property
    def rate(self) -> float:
        """Requests per second, from the first to the last that was sent."""
        return self.sent / self.seconds


def sign_ups(service: Service, folder: Path, seconds: int) -> Answers:
    """Sign-ups, each with an address that is new. Raises `Broken` unless all are answered by 200."""
    return _wrk(service, folder, seconds, [f"u{uuid4().hex[:10]}."])


def posts(service: Service, folder: Path, seconds: int, paths: Iterable[str]) -> Answers:
    """A one-click POST to each path once. Raises `Broken` unless all are answered by 200."""
    file = folder / "paths"
    file.write_text("".join(f"{path}\n" for path in paths), "ascii")
    return _wrk(service, folder, seconds, ["-", str(file)])


def _wrk(service: Service, folder: Path, seconds: int, arguments: Sequence[str]) -> Answers:
    script = folder / "wrk.lua"
    script.write_text(_SCRIPT, "ascii")
    said = run(
        [find("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds + _DRAIN}s", "--timeout", "30s",
         "-s", str(script), service.origin, "--", str(seconds), *arguments],
        within=seconds + 60,
    )  # fmt: skip
    found = re.search(r"^BENCH (.*)$", said, re.MULTILINE)
    if found is None:
        raise Broken(f"wrk said {said[-300:]!r}")
    answers = Answers(**json.loads(found[1]))
    if answers.refused or answers.cut or answers.answered != answers.sent:
        raise Broken(f"not every request was answered by 200: {answers}")
    return answers


def gets(service: Service, path: str, seconds: int) -> float:
    """Answers per second to GETs of one path. Raises `Broken` unless all are answered by 200."""
    said = run(
        [find("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"{service.origin}{path}"],
        within=seconds + 60,
    )
    found = re.search(r"^Requests/sec:\s+([0-9.]+)", said, re.MULTILINE)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        raise Broken(f"wrk said {said[-300:]!r}")
    return float(found[1])


def pgbench(
    server: Postgres, database: str, folder: Path, seconds: int, script: str, *, mode: str = "prepared"
) -> float:
    """Transactions per second of `script`, by 16 clients. `mode` is pgbench's -M: `prepared`, its fastest,
    is what the service's driver does too."""
    file = folder / "pgbench.sql"
    file.write_text(script, "ascii")
    said = run(
        [find("pgbench"), "-n", "-M", mode, "-c", str(CONNECTIONS), "-j", "1", "-T", str(seconds),
         "-f", str(file), *server.options(database)],
        within=seconds + 60,
    )  # fmt: skip
    found = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
    if found is None:
        raise Broken(f"pgbench said {said[-300:]!r}")
    return float(found[1])


def shell(database: Path, script: Path) -> float:
    """Seconds that the sqlite3 shell needs for a script."""
    began = time.perf_counter()
    run([find("sqlite3"), "-bail", str(database), f".read {script}"], within=180)
    return time.perf_counter() - began


@dataclass(frozen=True)
class Output:
    """What a program wrote: `seconds` and `first_byte` count from its start, `peak` is MiB of RSS."""

    program: str
    seconds: float
    first_byte: float
    size: int
    lines: int
    peak: float


def read_all(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Output:
    """Run a program that writes much, read it through a pipe as fast as it writes, and keep nothing."""
    began = time.perf_counter()
    first_byte, size, lines = 0.0, 0, 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ, bufsize=0
    ) as process:
        peak = _Peak(process.pid)
        assert process.stdout is not None
        while data := process.stdout.read(1 << 20):
            first_byte = first_byte or time.perf_counter() - began
            size += len(data)
            lines += data.count(b"\n")
        status = process.wait(60)
        seconds = time.perf_counter() - began
        peak.end()
    if status:
        raise Broken(f"{command[0]} ended with status {status}")
    return Output(Path(command[0]).name, seconds, first_byte, size, lines, peak.mebibytes)


class _Peak:
    """Watches a process's high-water mark. Its rusage would not do: that counts us, who forked it."""

    def __init__(self, pid: int) -> None:
        self.mebibytes = 0.0
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            try:
                found = re.search(r"^VmHWM:\s+(\d+) kB", self._status.read_text("ascii"), re.MULTILINE)
            except OSError:
                return
            if found is not None:
                self.mebibytes = max(self.mebibytes, int(found[1]) / 1024)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
