"""The spool: what it kept is there whole, in order, and goes only when it was applied."""

from __future__ import annotations

import resource
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newsletter.spool import CannotKeep, Record, Spool

NOON = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)


def _fill(folder: Path, number: int) -> Spool:
    spool = Spool(folder)
    for place in range(number):
        spool.keep({"number": place}, at=NOON + timedelta(seconds=place))
    return spool


def _drained(spool: Spool) -> list[int]:
    taken: list[int] = []

    def apply(records: Sequence[Record]) -> tuple[Record, ...]:
        taken.extend(record.what["number"] for record in records)
        return ()

    spool.drain(apply)
    return taken


@contextmanager
def a_full_disk() -> Iterator[None]:
    """No file of this process may hold more than a few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_kept_is_drained_once_in_the_order_in_which_it_was_asked(tmp_path: Path) -> None:
    spool = _fill(tmp_path / "spool", 20)

    assert not spool.is_empty()
    assert _drained(spool) == list(range(20))
    assert spool.is_empty()
    assert _drained(spool) == []


def test_a_record_keeps_its_moment(tmp_path: Path) -> None:
    spool = _fill(tmp_path / "spool", 1)
    seen: list[Record] = []
    spool.drain(lambda records: seen.extend(records) or ())  # type: ignore[func-returns-value]

    assert seen[0].at == NOON


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    _fill(folder, 1)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]


def test_what_could_not_be_applied_now_is_there_the_next_time(tmp_path: Path) -> None:
    spool = _fill(tmp_path / "spool", 3)

    def away(_records: Sequence[Record]) -> tuple[Record, ...]:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        spool.drain(away)

    assert _drained(spool) == [0, 1, 2]


def test_what_can_never_be_applied_is_put_aside_and_holds_up_nobody(tmp_path: Path) -> None:
    spool = _fill(tmp_path / "spool", 3)
    spool.drain(lambda records: [record for record in records if record.what["number"] == 1])

    assert spool.is_empty()
    assert len(list((tmp_path / "spool" / "aside").iterdir())) == 1


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: data.replace(b"1", b"2"), lambda data: b"\xff" * 99],
    ids=["empty", "torn", "altered", "garbage"],
)  # fmt: skip
def test_a_record_that_is_not_what_was_written_is_put_aside(tmp_path: Path, damage: object) -> None:
    folder = tmp_path / "spool"
    spool = _fill(folder, 3)
    _, second, _ = sorted(folder.iterdir())
    second.write_bytes(damage(second.read_bytes()))  # type: ignore[operator]

    assert _drained(spool) == [0, 2]
    assert [file.name for file in (folder / "aside").iterdir()] == [second.name]


def test_what_cannot_be_read_stays_and_holds_up_nobody(tmp_path: Path) -> None:
    spool = _fill(tmp_path / "spool", 2)
    (tmp_path / "spool" / ".lock").mkdir()
    unreadable = tmp_path / "spool" / ("0" * 32)
    unreadable.mkdir()

    assert _drained(spool) == [0, 1]
    assert _drained(spool) == []
    assert unreadable.exists()
    assert not spool.is_empty()


@pytest.mark.parametrize("what", ["damaged", "refused"])
def test_what_cannot_even_be_put_aside_stays_and_holds_up_nobody(tmp_path: Path, what: str) -> None:
    spool = _fill(tmp_path / "spool", 3)
    (tmp_path / "spool" / "aside").write_text("a file is in its place")
    first = min(file for file in (tmp_path / "spool").iterdir() if file.name != "aside")
    if what == "damaged":
        first.write_bytes(b"nothing")
    taken: list[int] = []

    def apply(records: Sequence[Record]) -> list[Record]:
        taken.extend(record.what["number"] for record in records)
        return [record for record in records if record.what["number"] == 0]

    assert spool.drain(apply) == 2
    assert taken[-2:] == [1, 2]
    assert {file.name for file in (tmp_path / "spool").iterdir()} == {"aside", first.name}


def test_what_a_dead_process_had_begun_to_write_is_no_record(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = _fill(folder, 1)
    (folder / f".{'0' * 32}").write_bytes(b"half a rec")

    assert _drained(spool) == [0]


def test_a_full_spool_takes_no_more(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", most=2)
    spool.keep({"number": 0}, at=NOON)
    spool.keep({"number": 1}, at=NOON + timedelta(seconds=1))
    with pytest.raises(CannotKeep, match="is full: it holds 2 records"):
        spool.keep({"number": 2}, at=NOON)
    assert _drained(spool) == [0, 1]
    spool.keep({"number": 3}, at=NOON)

    assert _drained(spool) == [3]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = _fill(tmp_path / "spool", 1)
    with a_full_disk(), pytest.raises(CannotKeep, match="cannot be written to"):
        spool.keep({"number": 1}, at=NOON)

    assert [file.name[0] for file in (tmp_path / "spool").iterdir()] != ["."]
    assert _drained(spool) == [0]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotKeep, match="cannot be written to: Not a directory"):
        Spool(tmp_path / "file" / "spool").keep({}, at=NOON)
