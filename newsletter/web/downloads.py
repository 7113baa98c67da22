"""How many exports are downloaded at once. Each holds a connection to the database for as long as whoever
reads takes, which may be all night; so a process lets them have some of its connections, and the rest are for
everybody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import cast

from flask import current_app


class TooManyDownloads(Exception):
    """No more exports can be downloaded now. The message is a sentence."""


class Downloads:
    """The places for downloads in this process, at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._places = threading.BoundedSemaphore(most)

    @contextmanager
    def place(self) -> Iterator[Callable[[Generator[bytes]], Iterator[bytes]]]:
        """A place, and how a download takes it: it gives the place back at its end or when it is closed.
        Raises `TooManyDownloads`."""
        if not self._places.acquire(blocking=False):
            raise TooManyDownloads(
                f"As many exports as can be are being downloaded already ({self._most} for each web "
                "process). Try again when one has ended, or use the command: newsletter export."
            )
        taken: list[_Download] = []

        def take(chunks: Generator[bytes]) -> Iterator[bytes]:
            taken.append(_Download(chunks, self._places.release))
            return taken[0]

        try:
            yield take
        finally:
            if not taken:
                self._places.release()


class _Download:
    """The chunks of a download that has a place. A generator that was never begun would not hear of its
    closing."""

    def __init__(self, chunks: Generator[bytes], release: Callable[[], None]) -> None:
        self._chunks = chunks
        self._release: Callable[[], None] | None = release

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except BaseException:  # its end, too
            self.close()
            raise

    def close(self) -> None:
        """Give up what is left, and the place. Again: nothing."""
        self._chunks.close()
        release, self._release = self._release, None
        if release is not None:
            release()


def downloads() -> Downloads:
    """The places of this application."""
    return cast("Downloads", current_app.extensions["newsletter.downloads"])
