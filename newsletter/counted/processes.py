"""How the processes of a machine share their counts: each in files of its own in one folder, which whoever
is asked adds up (prometheus_client's multiprocess mode).

A process takes the lowest number that no living process holds, and holds it by a lock on a file, which ends
with it however it dies. So there are files for as many processes as ever ran at once, not as ever ran; a
process goes on counting where the dead one stopped; and containers, whose process ids are the same, may share
a folder. Where the folder cannot be used, each process counts for itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

import structlog
from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

from newsletter.counted.series import forget, series
from newsletter.settings import Settings

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# Blocks for them are taken at the start: a file with holes would kill the process when the disk is full.
_KINDS = ("counter", "histogram", "gauge_livesum")
_SIZE = 256 * 1024  # bytes: several times what all series need

log = structlog.get_logger()
_held: list[IO[str]] = []  # the locks of this process, for as long as it lives


def prepare(settings: Settings, *, clean: bool) -> None:
    """Say where this process and those that it starts put their counts. `clean`: this is the first of them,
    and removes what dead ones left, for a start at nothing."""
    try:
        named = os.environ.get(FOLDER)
        folder = Path(named) if named else _folder(settings, temporary=clean)
        if folder is None:
            return
        os.environ[FOLDER] = str(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if clean:
            for number in _dead(folder):
                for file in folder.glob(f"*_{number}.db"):
                    file.unlink(missing_ok=True)
    except OSError as error:
        os.environ.pop(FOLDER, None)
        log.warning("metrics_not_shared", error=error.strerror)


def begin(role: str) -> None:
    """Share the counts of this process from now on, and be counted as alive. Not before a fork."""
    folder = shared_folder()
    if folder is not None:
        try:
            number = _take_number(folder)
            for kind in _KINDS:
                _reserve(folder / f"{kind}_{number}.db")
        except OSError as error:
            log.warning("metrics_not_shared", error=error.strerror)
        else:
            # Where series are kept is chosen when they are made.
            values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
            forget()
    series().processes.labels(role).set(1)


def shared_folder() -> Path | None:
    """Where processes share their counts, where they do."""
    named = os.environ.get(FOLDER)
    return Path(named) if named and Path(named).is_dir() else None


def bury(folder: Path) -> None:
    """Forget of dead processes what is true of living ones alone, where the disk lets us."""
    with contextlib.suppress(OSError):
        for number in _dead(folder):
            mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]


def _folder(settings: Settings, *, temporary: bool) -> Path | None:
    """In the data directory; without one, in a temporary folder that only those know who are started here."""
    if settings.needs_data_dir or settings.data_dir.is_dir():
        return settings.data_dir / "metrics"
    return Path(tempfile.mkdtemp(prefix="newsletter-metrics-")) if temporary else None


def _take_number(folder: Path) -> int:
    for number in count():
        lock = _lock(folder, number)
        if lock is not None:
            _held.append(lock)
            return number
    raise AssertionError("numbers do not end")


def _dead(folder: Path) -> Iterator[int]:
    """The numbers that no living process holds, or takes while we are at it."""
    for file in folder.glob("process-*"):
        number = int(file.name.removeprefix("process-"))
        # Looking needs no writing: a disk that takes nothing is what a scrape must be able to tell of.
        lock = _lock(folder, number, mode="r")
        if lock is not None:
            with lock:
                yield number


def _lock(folder: Path, number: int, *, mode: str = "a") -> IO[str] | None:
    """The lock of a number; None where a process holds it."""
    file = (folder / f"process-{number}").open(mode)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _reserve(path: Path) -> None:
    if path.exists():
        return
    # It appears with its size: whoever reads an empty one falls over.
    draft = path.with_suffix(".new")
    with draft.open("wb") as file:
        file.truncate(_SIZE)
        with contextlib.suppress(AttributeError):  # macOS has none
            os.posix_fallocate(file.fileno(), 0, _SIZE)
    draft.replace(path)
