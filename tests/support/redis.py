"""A real Redis server of the suite's own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.postgres import free_port
from tests.support.service import eventually

HOW_TO_GET = "Redis is not installed: on Debian, apt-get install redis-server"


def executable() -> str | None:
    """The server's program, where there is one."""
    return shutil.which("redis-server")


@contextmanager
def running(port: int | None = None) -> Iterator[str]:
    """A server that keeps nothing on disk; gives its URL."""
    found = executable()
    assert found is not None, HOW_TO_GET
    port = port or free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([found, *options], stdout=subprocess.DEVNULL)
    try:
        import redis

        client = redis.Redis(port=port)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        eventually(answers)
        client.close()
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()
