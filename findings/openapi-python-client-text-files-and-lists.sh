#!/usr/bin/env bash
# Clients that openapi-python-client 0.29.1 makes, without a warning, of a valid OpenAPI document do otherwise than
# it says in two places:
# - An answer that is `type: string, format: binary` under `text/csv` (or any text/*) makes the generated function
#   raise TypeError for every answer of 200: it wraps response.text, a str, in BytesIO. Under
#   application/octet-stream, the same schema works.
# - A query parameter that is a list with `explode: false` is sent as if it exploded: state=a&state=b instead of
#   state=a,b. A server that reads it as documented gets the first value alone, and no error.
# Seen: "text/csv: TypeError: a bytes-like object is required, not 'str'", "octet-stream: b'a,b\n'",
# "asked for: state=a&state=b".
# Exits with another status than 0 where it is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openapi-python-client==0.29.1
cat > openapi.json <<'JSON'
{"openapi": "3.1.0", "info": {"title": "Files", "version": "1"}, "paths": {
  "/text": {"get": {"operationId": "get_text", "tags": ["files"],
    "parameters": [{"name": "state", "in": "query", "style": "form", "explode": false,
      "schema": {"type": "array", "items": {"type": "string"}}}],
    "responses": {"200": {"description": "A file", "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}}}}},
  "/bytes": {"get": {"operationId": "get_bytes", "tags": ["files"],
    "responses": {"200": {"description": "A file", "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}}}}}
JSON
echo 'post_hooks: []' > config.yml
venv/bin/openapi-python-client generate --path openapi.json --output-path client --meta none --config config.yml --fail-on-warning
venv/bin/python - <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from client import Client
from client.api.files import get_bytes, get_text

asked = []


class Files(BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/csv" if self.path.startswith("/text") else "application/octet-stream")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"a,b\n")

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Files)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = Client(base_url=f"http://127.0.0.1:{server.server_port}")
try:
    get_text.sync_detailed(client=client, state=["a", "b"])
    raised = "nothing"
except TypeError as error:
    raised = f"TypeError: {error}"
read = get_bytes.sync(client=client).payload.read()
print(f"text/csv: {raised}")
print(f"octet-stream: {read!r}")
print(f"asked for: {asked[0].partition('?')[2]}")
assert raised == "TypeError: a bytes-like object is required, not 'str'", raised
assert read == b"a,b\n"
assert asked[0] == "/text?state=a&state=b", asked
PYTHON
