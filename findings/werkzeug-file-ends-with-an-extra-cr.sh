#!/usr/bin/env bash
# Werkzeug 3.1.9 adds a CR to the end of an uploaded file where a piece of 64 KiB, as its parser of forms reads a
# body, ends between the two hyphens after the last boundary: "\r\n--BOUNDARY-" is there, "-\r\n" is still to
# come. The parser has then seen "--BOUNDARY" and no whole delimiter; the LF is within a boundary's length of the
# end and is held back, the CR before it is one byte farther away and is given out as a part of the file. So about
# one upload in 65,536 is stored with one byte more than was sent, and its checksum is another.
# Seen: "sent 65421 bytes, got 65422, which end with b'a\r'"; every other length around it comes out as it was.
# Exits with another status than 0 where it is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check werkzeug==3.1.9 markupsafe==3.0.2
"$folder/venv/bin/python" - <<'PYTHON'
import io

from werkzeug.formparser import MultiPartParser

boundary = b"edge" * 6
wrong = []
for size in range(65_400, 65_440):
    sent = b"a" * size
    body = (
        b"--" + boundary + b'\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
        + sent + b"\r\n--" + boundary + b"--\r\n"
    )
    _, files = MultiPartParser().parse(io.BytesIO(body), boundary, len(body))
    got = files["f"].read()
    if got != sent:
        wrong.append(size)
        print(f"sent {size} bytes, got {len(got)}, which end with {got[-2:]!r}")
assert wrong == [65_421], wrong
PYTHON
