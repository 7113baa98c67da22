#!/usr/bin/env bash
# uvicorn 0.54.0 with httptools 0.9.0 never hands on the body of a request that also offers another protocol
# ("Connection: Upgrade, HTTP2-Settings" and "Upgrade: h2c", RFC 9110 §7.8), which a server may ignore and whose body it
# must then read as usual. Java's HttpClient sends such a head with every form over plain HTTP, and so does
# `curl --http2`. httptools skips the body of what it takes for an upgrade; uvicorn drops what the
# parser did not read, and tells the application that the body is empty, whatever Content-Length said. With h11 in the
# place of httptools the same request arrives whole.
# Seen: "httptools: content-length 5, body b''" and "h11: content-length 5, body b'email'".
# Exits with another status than 0 where it is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0
"$folder/venv/bin/python" - <<'PYTHON'
import socket
import threading
import time

import uvicorn

HEAD = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAA\r\nContent-Length: 5\r\n\r\n"
)


async def app(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    length = dict(scope["headers"])[b"content-length"].decode()
    said = f"content-length {length}, body {body!r}".encode()
    headers = [(b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


def said_with(parser):
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, http=parser, loop="asyncio", ws="none", lifespan="off", log_level="critical")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with socket.create_connection(listener.getsockname(), timeout=10) as connection:
        connection.sendall(HEAD + b"email")
        answer = b""
        while b"body" not in answer:
            answer += connection.recv(4096)
    server.should_exit = server.force_exit = True
    thread.join()
    return answer.rpartition(b"\r\n")[2].decode()


found = {parser: said_with(parser) for parser in ("httptools", "h11")}
for parser, said in found.items():
    print(f"{parser}: {said}")
assert found == {"httptools": "content-length 5, body b''", "h11": "content-length 5, body b'email'"}
PYTHON
