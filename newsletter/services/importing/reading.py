"""Bytes to rows, a little at a time: a cell of any size costs no more memory than the largest that is taken.

What cannot be read is never guessed: it comes out as a `Bad` row with its line, and bytes that are not of the
encoding stay visible in the text (as lone surrogates), so that the row they are in is refused."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, TextIO

from newsletter.domain.nesting import DEEPEST, is_too_deep
from newsletter.services.importing.options import ENCODINGS, Form, ImportFault, Options

LONGEST_CELL = 128 * 1024  # characters; the csv module's own limit
LONGEST_ROW = 1024 * 1024
_LONGEST_PIECE = 2 * LONGEST_CELL
_EXCERPT = 200
_SEPARATOR = re.compile(r'"?sep=([^\r\n])"?[ \t]*(?:[\r\n]|$)', re.IGNORECASE)
_NO_CHARACTER = re.compile("[\0\ud800-\udfff]")
_MOST_IGNORED = 100  # keys that are counted one by one

Cells = Sequence[Any]


class Row(NamedTuple):
    """A row of the file: the line that it begins in, and its cells in the order of the columns."""

    line: int
    cells: Cells


class Bad(NamedTuple):
    """A row that is not taken: the line that it begins in, how it begins, and why."""

    line: int
    text: str
    reason: str


class _TooLong(Exception):
    pass


def rows(
    parts: Iterable[bytes], options: Options, columns: Sequence[str], ignored: dict[str, int]
) -> Iterator[Row | Bad]:
    """The rows of a file, after its header. `ignored` counts the keys of JSON objects that are no columns.

    Raises `ImportFault` where a file cannot be read any further.
    """
    file = text_of(parts, options.encoding)
    try:
        if options.form is Form.JSONL:
            yield from _objects(file, columns, ignored)
            return
        if options.form is Form.LINES:
            yield from text_lines(file)
            return
        found = csv_rows(file, options.delimiter)
        if options.header and isinstance(next(found, None), Bad):
            raise ImportFault("the first line, which names the columns, cannot be read")
        for row in found:
            if isinstance(row, Row) and len(row.cells) != len(columns):
                word = "many" if len(row.cells) > len(columns) else "few"
                reason = f"too {word} fields: {len(row.cells)}, where {len(columns)} are named"
                yield Bad(row.line, excerpt(options.delimiter.join(row.cells)), reason)
            else:
                yield row
    except UnicodeError as error:
        raise ImportFault(f"the file is not written in {options.encoding}: {error}") from error


def records(parts: Iterable[bytes], options: Options) -> Iterator[tuple[int, str]]:
    """Each row with the line that it begins in, whole, as text that any database stores: the cells of CSV as
    a JSON array, of one that could not be read its text as the only cell; other forms line by line."""
    file = text_of(parts, options.encoding)
    if options.form is not Form.CSV:
        for found in json_lines(file):
            line, text = (found.line, found.text) if isinstance(found, Bad) else found
            yield line, _storable(text.rstrip("\r\n"))
        return
    for row in csv_rows(file, options.delimiter, longest_excerpt=LONGEST_CELL):
        cells = row.cells if isinstance(row, Row) else [row.text]
        yield row.line, json.dumps([_storable(cell) for cell in cells], ensure_ascii=False)


def _storable(text: str) -> str:
    """A text without what is no character: bytes of another encoding, and NUL."""
    return _NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", text)


def text_of(parts: Iterable[bytes], encoding: str) -> TextIO:
    """The text of a file, line ends as they are."""
    return io.TextIOWrapper(
        io.BufferedReader(_Parts(parts), 64 * 1024),
        encoding=ENCODINGS[encoding],
        errors="strict" if encoding.startswith("utf-16") else "surrogateescape",
        newline="",
    )


class _Parts(io.RawIOBase):
    """Parts of bytes as a file."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        super().__init__()
        self._parts = iter(parts)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = memoryview(part)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def text_lines(file: TextIO) -> Iterator[Row | Bad]:
    """The lines of a file without columns, each as a cell; empty ones are none."""
    for line, text in enumerate(iter(partial(file.readline, LONGEST_CELL), ""), start=1):
        if "\0" in text:
            yield Bad(line, excerpt(text), "it holds a NUL, which no text does")
        elif text.strip():
            yield Row(line, [text.strip()])


def delimiter_of(text: str) -> str | None:
    """What the first line says where it is the one by which files tell spreadsheets their delimiter: `sep=;`.
    None where it is another line."""
    found = _SEPARATOR.match(text)
    return found[1] if found else None


def csv_rows(file: TextIO, delimiter: str, *, longest_excerpt: int | None = None) -> Iterator[Row | Bad]:
    """The rows of a CSV file, its header among them; empty lines are none, and `sep=;` before all others is
    none."""
    return _Csv(file, delimiter, longest_excerpt or _EXCERPT).rows()


class _Csv:
    """Reads by the csv module, and knows how to go on after what that does not take."""

    def __init__(self, file: TextIO, delimiter: str, longest_excerpt: int) -> None:
        self._longest_excerpt = longest_excerpt
        self._file = file
        self._delimiter = delimiter
        self._record: list[str] = []  # the lines of the row in hand
        self._size = 0
        self._has_nul = False
        self._first = file.readline(_LONGEST_PIECE)

    def rows(self) -> Iterator[Row | Bad]:
        line = 1
        if delimiter_of(self._first) is not None:
            line, self._first = 2, ""
        record = self._record
        while True:
            reader = csv.reader(self._pieces(), delimiter=self._delimiter, strict=True)
            try:
                for cells in reader:
                    if self._has_nul:
                        yield Bad(line, self._excerpt(), "it holds a NUL, which no text does")
                        self._has_nul = False
                    elif cells:
                        yield Row(line, cells)
                    line += len(record)
                    record.clear()
                    self._size = 0
                return
            except (csv.Error, _TooLong) as error:
                text, reason = self._excerpt(), _why(error)
                if reason is None:
                    raise _never_closed(line) from error
                if isinstance(error, _TooLong) or "field limit" in str(error):
                    lines = self._skip(line)
                else:
                    lines = len(record)
                yield Bad(line, text, reason)
                line += lines
                record.clear()
                self._size = 0
                self._has_nul = False

    def _excerpt(self) -> str:
        """How the row in hand begins; of one that is wanted whole, as it is written."""
        most = self._longest_excerpt
        if most == _EXCERPT:
            return excerpt("".join(part[:most] for part in self._record[:5]))
        return "".join(self._record)[:most].rstrip("\r\n")

    def _pieces(self) -> Iterator[str]:
        record = self._record
        first, self._first = self._first, ""
        pieces = iter(partial(self._file.readline, _LONGEST_PIECE), "")
        for piece in chain([first], pieces) if first else pieces:
            record.append(piece)
            if "\0" in piece:
                self._has_nul = True
            if len(piece) == _LONGEST_PIECE and piece[-1] not in "\r\n":
                raise _TooLong
            if len(record) > 1:
                self._size += len(piece)
                if self._size > LONGEST_ROW:
                    raise _TooLong
            yield piece

    def _skip(self, line: int) -> int:
        """Pass over the rest of a row that is too long, to the end of the line in which its last quotation
        mark closes; returns how many lines it had."""
        quotes = sum(piece.count('"') for piece in self._record)
        lines = len(self._record)
        last = self._record[-1]
        while quotes % 2 or not last.endswith(("\n", "\r")):
            piece = self._file.readline(_LONGEST_PIECE)
            if not piece:
                if quotes % 2:
                    raise _never_closed(line)
                break
            lines += last.endswith(("\n", "\r"))
            quotes += piece.count('"')
            last = piece
        return lines


def _why(error: Exception) -> str | None:
    """What the csv module complains of, in our words; None where the file ends within quotation marks."""
    said = str(error)
    if isinstance(error, _TooLong):
        return "the row is too large"
    if "field limit" in said:
        return f"a cell is larger than {LONGEST_CELL // 1024} KiB"
    if "unexpected end" in said:
        return None
    if "expected after" in said:
        return "a quotation mark within a cell is not doubled"
    return f"it is no CSV: {said}"


def _never_closed(line: int) -> ImportFault:
    return ImportFault(f"line {line}: a quotation mark opens a cell here and never closes it")


def _objects(file: TextIO, columns: Sequence[str], ignored: dict[str, int]) -> Iterator[Row | Bad]:
    """The objects of a JSONL file, their values in the order of the columns."""
    known = set(columns)
    for found in json_lines(file):
        if isinstance(found, Bad):
            yield found
            continue
        line, text = found
        value = parse_object(text)
        if isinstance(value, str):
            yield Bad(line, excerpt(text), value)
            continue
        if len(value) != len(known) or value.keys() - known:
            for key in value.keys() - known:
                key = excerpt(key)  # noqa: PLW2901
                if key in ignored or len(ignored) < _MOST_IGNORED:
                    ignored[key] = ignored.get(key, 0) + 1
        yield Row(line, [value.get(column) for column in columns])


def json_lines(file: TextIO) -> Iterator[tuple[int, str] | Bad]:
    """The lines of a JSONL file, each with its number; empty ones are none."""
    for line, piece in enumerate(iter(partial(file.readline, LONGEST_ROW), ""), start=1):
        if len(piece) == LONGEST_ROW and piece[-1] not in "\r\n":
            rest = piece
            while rest and not rest.endswith(("\n", "\r")):
                rest = file.readline(LONGEST_ROW)
            yield Bad(line, excerpt(piece), "the row is too large")
        elif piece.strip():
            yield line, piece


def parse_object(text: str) -> dict[str, Any] | str:
    """A JSON object, or what is wrong with it."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        return f"it is no JSON: {getattr(error, 'msg', None) or error}"
    except RecursionError:
        return "it is no JSON: it is nested too deeply"
    if not isinstance(value, dict):
        return "it is no JSON object"
    # Counting is quick, and nearly no line has so many.
    if text.count("{") + text.count("[") > DEEPEST and is_too_deep(value):
        return "it is no JSON: it is nested too deeply"
    return value


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def excerpt(text: str) -> str:
    """How a row begins, as it can be stored and shown."""
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in text[:_EXCERPT].strip()
    )
    return shown + ("…" if len(text) > _EXCERPT else "")
