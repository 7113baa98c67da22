"""A file in a request: how much of it is taken, by Werkzeug's way of counting, and what is refused.

Werkzeug reads a form 64 KiB at a time. Its limit for the memory of a field holds for each such piece as well,
a file's too, together with what is left over of the one before: a line end may begin the boundary. So that
limit must be larger than a piece, though a file is written to disk."""

from __future__ import annotations

from os import SEEK_END
from typing import IO, Any

from flask import Request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

AROUND_A_FILE = 1024 * 1024  # bytes that a form may add to its file
# Twice a piece: what is left over of one is no longer than a boundary.
_LARGEST_FIELD = 128 * 1024
_MOST_PARTS = 10
_PIECE = 64 * 1024
_LONGEST_END = 256  # bytes: a boundary has 70 at most (RFC 2046 §5.1.1)


class CutOff(BadRequest):
    """A form with a file that did not arrive to its end."""

    description = (
        "The form did not arrive whole: it was cut off on its way, or it is not written as "
        "multipart/form-data must be (RFC 7578). Nothing was stored. Send the file once more."
    )


class FileTooLarge(RequestEntityTooLarge):
    """A request of `size` bytes, which are more than its file may have."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size


class _Parser(FormDataParser):
    """Says so where a form is damaged, which Werkzeug would take for one without fields; and leaves no file
    open then."""

    def parse(self, stream: IO[bytes], mimetype: str, content_length: int | None, options: Any = None) -> Any:
        self.silent, make, made = False, self.stream_factory, []

        def remember(*arguments: Any, **named: Any) -> IO[bytes]:
            made.append(make(*arguments, **named))
            return made[-1]

        self.stream_factory = remember
        whole_end: Any = _WholeEnd(stream, content_length or 0)
        try:
            return super().parse(whole_end, mimetype, content_length, options)
        except BaseException as error:
            for file in made:
                file.close()
            if isinstance(error, (ValueError, ClientDisconnected)):
                raise CutOff from error
            raise


class _WholeEnd:
    """A body whose last piece holds all of the boundary at its end. Where one ends between the two hyphens
    after that, Werkzeug takes the CR before it for a part of the file."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int) -> bytes:
        if size < self._left < size + _LONGEST_END:
            size -= _LONGEST_END
        piece = bytearray()
        while len(piece) < size and (more := self._stream.read(size - len(piece))):
            piece += more
        self._left -= len(piece)
        return bytes(piece)


def take_file(request: Request, largest: int) -> None:
    """Let a request bring a file of at most so many bytes, before anything of it was read. Raises
    `FileTooLarge`, after all of it has come: who is cut off while they send see no answer."""
    size = request.content_length or 0
    if size > largest + AROUND_A_FILE:
        _pass_over(request.environ["wsgi.input"], size)
        raise FileTooLarge(size)
    request.max_content_length = largest + AROUND_A_FILE
    request.max_form_memory_size = _LARGEST_FIELD
    request.max_form_parts = _MOST_PARTS
    request.form_data_parser_class = _Parser


def size_of(file: FileStorage) -> int:
    """The bytes of a file that was sent in a form."""
    size = file.stream.seek(0, SEEK_END)
    file.stream.seek(0)
    return size


def _pass_over(stream: IO[bytes], size: int) -> None:
    while size > 0 and (piece := stream.read(min(size, _PIECE))):
        size -= len(piece)
