"""The element's script, which every page that embeds a form asks for, against a view that does nothing."""

from __future__ import annotations

import urllib.error
import urllib.request

from bench import loads, servers
from bench.ground import Ground
from bench.servers import Service
from bench.table import Line, rates
from bench.tools import Broken

_LEAST = 0.7


def embed_script(ground: Ground) -> list[Line]:
    """`/embed.js`, from memory, against `/healthz`; and that a browser that has it is told so."""
    with servers.service(ground.on_sqlite().environ) as service:
        _check_unchanged(service)
        loads.gets(service, "/healthz", 1)
        pairs = ground.pairs(
            lambda: loads.gets(service, "/healthz", ground.seconds),
            lambda: loads.gets(service, "/embed.js", ground.seconds),
        )
    note = "limit: /healthz; with its ETag it is answered by 304"
    return [rates("/embed.js", pairs, least=_LEAST, note=note)]


def _check_unchanged(service: Service) -> None:
    with urllib.request.urlopen(f"{service.origin}/embed.js", timeout=10) as response:
        tag = response.headers["ETag"]
    again = urllib.request.Request(f"{service.origin}/embed.js", headers={"If-None-Match": tag or ""})
    try:
        with urllib.request.urlopen(again, timeout=10) as response:
            raise Broken(f"with its ETag {tag}, /embed.js was answered by {response.status}")
    except urllib.error.HTTPError as error:
        if error.code != 304:
            raise
