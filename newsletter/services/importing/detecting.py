"""How a file is written, told from its beginning: form, encoding, delimiter, header, columns."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from newsletter.services.importing.mapping import tells_who_left
from newsletter.services.importing.options import DELIMITERS, Form, ImportFault, Options
from newsletter.services.importing.reading import (
    Bad,
    Row,
    csv_rows,
    delimiter_of,
    json_lines,
    parse_object,
    text_lines,
    text_of,
)

HEAD = 1024 * 1024  # bytes that are looked at
_SAMPLES = 5
_MOST_COLUMNS = 200
_FIRST_OBJECTS = 200
_LOOKED_AT = 500  # rows of CSV
# `ann@example.org`, `Ann <ann@example.org>`, `"Example, Ann" <ann@example.org>`
_MAILBOX = re.compile(r'(?:"[^"]*"|[^"<>;\t|]*)\s*<[^<>\s]+@[^<>\s]+>|[^<>\s,;|"]+@[^<>\s,;|"]+')
# What is no text, by how it begins.
_OTHERS = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"\x1f\x8b": "compressed by gzip",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"PAR1": "a Parquet file",
    b"SQLite format 3\x00": "an SQLite database",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
}
_LONE = re.compile("[\ud800-\udfff]")
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Detected:
    """How a file seems to be written. `samples` are its first rows, `cells` some of what stands in each
    column; `notes` are for the operator."""

    form: Form
    encoding: str
    delimiter: str
    header: bool
    columns: tuple[str, ...]
    samples: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    cells: dict[str, tuple[str, ...]]


class Encoding:
    """Tells a file's encoding from all of its bytes, part by part: its mark, else UTF-16 where every other
    byte of its beginning is nought, else UTF-8 where every byte agrees, else Windows-1252."""

    def __init__(self) -> None:
        self._decoder: Any = codecs.getincrementaldecoder("utf-8")()
        self._mark: str | None = None
        self._begun = False

    def feed(self, part: bytes) -> None:
        """The next part. Raises `ImportFault` where the first is not the beginning of a text."""
        if not self._begun and part:
            self._begun = True
            refuse_others(part)
            self._mark = next((name for mark, name in _BOMS.items() if part.startswith(mark)), _utf_16(part))
        if self._decoder is not None and not (self._mark or "").startswith("utf-16"):
            try:
                self._decoder.decode(part)
            except UnicodeDecodeError:
                self._decoder = None

    def name(self) -> str:
        return self._mark or ("utf-8" if self._decoder is not None else "cp1252")


def _utf_16(head: bytes) -> str | None:
    """Which UTF-16 a text without a mark is: in any language, signs and line ends have a byte that is nought,
    and on the other side there is none."""
    head = head[: 64 * 1024]
    first, second = head[::2].count(0), head[1::2].count(0)
    if max(first, second) * 20 < len(head) or min(first, second) * 100 > max(first, second):
        return None
    return "utf-16-le" if second > first else "utf-16-be"


def refuse_others(head: bytes) -> None:
    """Raise `ImportFault` where a file begins as one that is no text."""
    for begins, what in _OTHERS.items():
        if head.startswith(begins):
            raise ImportFault(f"the file is {what}: unpack it, or save it as CSV, and bring that")


def detect(
    head: bytes,
    *,
    encoding: str,
    whole: bool,
    delimiter: str | None = None,
    header: bool | None = None,
    keys: Sequence[str] = (),
) -> Detected:
    """What the first `HEAD` bytes tell; `whole` says that they are all there are. What is given is not
    guessed. `keys` are those of all objects of JSONL, as `keys_of` told them. Raises `ImportFault`."""
    refuse_others(head)
    text = _text(head, encoding, whole=whole)
    notes = []
    if encoding == "cp1252":
        notes.append("The file is not UTF-8. It is read as Windows-1252: look whether the names are right.")
    first = text.lstrip()[:1]
    if not first:
        raise ImportFault("the file is empty")
    if first == "[":
        raise ImportFault("the file is a JSON array: bring one object a line (JSONL)")
    if first == "{":
        columns, shown = _first_objects(text, keys)
        return Detected(
            Form.JSONL, encoding, ",", False, columns, shown[:_SAMPLES], tuple(notes), _cells(columns, shown)
        )  # fmt: skip
    if delimiter in (None, ",") and not header and _is_lines(text):
        shown = tuple(
            _shown(row.cells)
            for row in islice(text_lines(io.StringIO(text)), _LOOKED_AT)
            if isinstance(row, Row)
        )
        return Detected(
            Form.LINES, encoding, ",", False, ("column 1",), shown[:_SAMPLES], tuple(notes), {"column 1": ()}
        )
    delimiter = delimiter or _delimiter(text)
    rows = list(_first_rows(text, delimiter))
    if not rows:
        raise ImportFault("the file is no CSV: its first lines cannot be read")
    if header is None:
        header = not any("@" in cell for cell in rows[0])
    names = rows[0] if header else [f"column {number}" for number in range(1, len(rows[0]) + 1)]
    if len(names) > _MOST_COLUMNS:
        raise ImportFault(f"the file has {len(names):,} columns; at most {_MOST_COLUMNS} are taken")
    columns, doubled = _unique(names)
    notes += [
        f"The column {name!r} is there more than once: the later ones are numbered." for name in doubled
    ]
    if re.search(rf"(?:^|[\"{re.escape(delimiter)}])'[=+@-]", text, re.MULTILINE):
        notes.append(
            "Some cells begin with an apostrophe before = + - or @, as spreadsheet-safe exports write it. "
            "Say so where the file is one, and it is taken off."
        )
    shown = tuple(_shown(row) for row in rows[1 if header else 0 :])
    return Detected(
        Form.CSV, encoding, delimiter, header, columns, shown[:_SAMPLES], tuple(notes), _cells(columns, shown)
    )  # fmt: skip


def _first_rows(text: str, delimiter: str) -> Iterator[Sequence[str]]:
    """As many as are looked at; a quotation mark that does not close may do so further on, and is none of
    ours."""
    with suppress(ImportFault):
        for row in islice(csv_rows(io.StringIO(text, newline=""), delimiter), _LOOKED_AT):
            if isinstance(row, Row):
                yield row.cells


def _cells(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Each of the cells in the rows once, column by column."""
    return {
        column: tuple(dict.fromkeys(row[number] for row in rows if number < len(row)))
        for number, column in enumerate(columns)
    }


def _is_lines(text: str) -> bool:
    """Whether the lines are addresses, a few of them aside, and some have a name before it, as list servers
    print their members."""
    lines = [line.strip() for line in islice(io.StringIO(text), _LOOKED_AT)]
    filled = [line for line in lines if line]
    found = [line for line in filled if _MAILBOX.fullmatch(line)]
    return (
        5 * len(found) >= 4 * len(filled) and filled[0] in found and any(line.endswith(">") for line in found)
    )


def keys_of(parts: Iterable[bytes], encoding: str) -> tuple[str, ...]:
    """The keys of all objects of a JSONL file, in the order in which they come: as many as are taken, and
    every one by which it may say who left. None where the file is no JSONL."""
    keys: dict[str, None] = {}
    try:
        for place, found in enumerate(json_lines(text_of(parts, encoding))):
            text = found.text if isinstance(found, Bad) else found[1]
            if place == 0 and not text.lstrip().startswith("{"):
                return ()
            value = parse_object(text)
            if isinstance(value, dict) and not value.keys() <= keys.keys():
                new = (key for key in value if key not in keys and not _LONE.search(key))
                keys |= {key: None for key in new if len(keys) < _MOST_COLUMNS or tells_who_left(key)}
    except UnicodeError:
        return ()  # said where it is read
    return tuple(keys)


def columns_of(parts: Iterable[bytes], options: Options) -> tuple[str, ...]:
    """The columns of a file that is read by `options`, from its first line."""
    if options.form is Form.JSONL:
        return tuple(dict.fromkeys((*options.mapping, *options.values)))
    if options.form is Form.LINES:
        return ("column 1",)
    try:
        row = next(csv_rows(text_of(parts, options.encoding), options.delimiter), None)
    except UnicodeError as error:
        raise ImportFault(f"the file is not written in {options.encoding}: {error}") from error
    if row is None:
        raise ImportFault("the file is empty")
    if isinstance(row, Bad):
        raise ImportFault(f"the first line cannot be read: {row.reason}")
    if not options.header:
        return tuple(f"column {number}" for number in range(1, len(row.cells) + 1))
    return _unique(row.cells)[0]


def _text(head: bytes, encoding: str, *, whole: bool) -> str:
    """The beginning of the text, whole lines only."""
    file = text_of([head if whole else head[: len(head) // 2 * 2]], encoding)
    if encoding.startswith("utf-16"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(head, final=False)
        except UnicodeError as error:
            raise ImportFault(f"the file is not written in {encoding}: {error}") from error
    else:
        text = file.read()
    if not whole:
        cut = max(text.rfind("\n"), text.rfind("\r"))
        text = text[: cut + 1] if cut >= 0 else text
    return text


def _delimiter(text: str) -> str:
    """The one by which the first lines fall into equally many cells, and most."""
    best, best_score = ",", (0.0, 0)
    sample = text[: 64 * 1024]
    said = delimiter_of(sample)
    if said in DELIMITERS:
        return str(said)
    if said is not None:
        sample = sample[len(sample.splitlines()[0]) + 1 :]
    for candidate in DELIMITERS:
        try:
            rows = [
                row
                for row in islice(csv.reader(io.StringIO(sample, newline=""), delimiter=candidate), 20)
                if row
            ]
        except csv.Error:
            continue
        widths = Counter(len(row) for row in rows)
        if not rows or len(rows[0]) < 2:
            continue
        score = (widths[len(rows[0])] / len(rows), len(rows[0]))
        if score > best_score:
            best, best_score = candidate, score
    return best


def _first_objects(text: str, keys: Sequence[str]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    objects = []
    for line in islice(text.splitlines(), _FIRST_OBJECTS):
        value = parse_object(line) if line.strip() else ""
        if isinstance(value, dict):
            objects.append(value)
    first = dict.fromkeys(key for value in objects for key in value if not _LONE.search(key))
    if not first:
        raise ImportFault("the file begins as JSONL, but none of its first lines is a JSON object")
    if len(first) > _MOST_COLUMNS:
        raise ImportFault(f"the file has {len(first):,} keys; at most {_MOST_COLUMNS} are taken")
    columns = tuple(first | dict.fromkeys(keys))
    return columns, tuple(_shown([value.get(key) for key in columns]) for value in objects)


def _unique(names: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Names that are each there once, and those that were there more often."""
    taken: list[str] = []
    doubled: list[str] = []
    for number, written in enumerate(names, start=1):
        # What is no character of the encoding could not be stored with the options.
        name = _LONE.sub("\N{REPLACEMENT CHARACTER}", written).strip()[:100] or f"column {number}"
        if name in taken:
            if name not in doubled:
                doubled.append(name)
            name = next(f"{name} ({n})" for n in range(2, len(names) + 2) if f"{name} ({n})" not in taken)
        taken.append(name)
    return tuple(taken), doubled


def _shown(cells: Sequence[Any]) -> tuple[str, ...]:
    return tuple(
        "" if cell is None else _LONE.sub("\N{REPLACEMENT CHARACTER}", str(cell)[:200]) for cell in cells
    )
