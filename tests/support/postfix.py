"""A real Postfix of the suite's own: its own configuration, queue and port beside whatever runs on the machine.

Its master must be started by root, and a pipe never runs a command as root: ours runs as nobody, who has to be
able to read the checkout and its Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.support.postgres import free_port
from tests.support.service import answers_on, eventually

HOW_TO_GET = "Postfix is not installed: on Debian, apt-get install postfix"
NEEDS_ROOT = "the test with a real Postfix must run as root: its master refuses to start otherwise"
NEEDS_READING = "the test with a real Postfix needs a checkout and a Python that the user nobody can read"
_CHECKOUT = Path(__file__).parents[2]
_PATHS = {"PYTHONPATH": f"{_CHECKOUT}:{sysconfig.get_path('purelib')}", "PYTHONDONTWRITEBYTECODE": "1"}
_AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


@cache
def missing() -> str | None:
    """Why there can be no Postfix on this machine; None where there can."""
    if shutil.which("postfix", path="/usr/sbin:/usr/bin:/sbin") is None:
        return HOW_TO_GET
    if os.geteuid() != 0:
        return NEEDS_ROOT
    return None if _python() else NEEDS_READING


@cache
def _python() -> str | None:
    """A Python that nobody may run with what is installed here: ours, or the system's of the same version where
    ours lies in somebody's home."""
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, system):
        # By a shell: where nobody may not read a program, a shell of theirs is told so.
        command = f"cd {_CHECKOUT} && exec {python} -c 'import newsletter.cli'"
        if (
            subprocess.run([*_AS_NOBODY, "sh", "-c", command], env=_PATHS, capture_output=True).returncode
            == 0
        ):
            return python
    return None


@contextmanager
def running(*, next_hop: int, domain: str, environ: Mapping[str, str]) -> Iterator[tuple[int, Path]]:
    """A Postfix that sends everything to `next_hop`, a port of this machine, save the mail of `domain`: that
    goes into a pipe to `newsletter receive`, under `environ`. Gives its port and its log."""
    folder = Path(tempfile.mkdtemp(prefix="newsletter-postfix-"))
    folder.chmod(0o755)
    port = free_port()
    log = folder / "log"
    try:
        command = _pipe_command(folder, environ)
        _configure(folder, port=port, next_hop=next_hop, domain=domain, command=command)
        with log.open("ab") as output:
            master = subprocess.Popen(
                ["/usr/sbin/postfix", "-c", str(folder), "start-fg"], stdout=output, stderr=output
            )
        try:
            eventually(lambda: master.poll() is not None or answers_on(port))
            assert master.poll() is None, log.read_text()
            yield port, log
        finally:
            subprocess.run(["/usr/sbin/postfix", "-c", str(folder), "stop"], capture_output=True)
            master.wait(timeout=120)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pipe_command(folder: Path, environ: Mapping[str, str]) -> Path:
    """What the pipe runs: Postfix hands over no environment of its own."""
    data = folder / "service"
    data.mkdir(mode=0o700)
    shutil.chown(data, "nobody")
    exported = "".join(
        f"export {name}='{value}'\n"
        for name, value in {**environ, **_PATHS, "NEWSLETTER_DATA_DIR": str(data)}.items()
    )
    command = folder / "receive"
    command.write_text(
        f"#!/bin/sh\n{exported}cd {_CHECKOUT}\n"
        f'exec {_python()} -m newsletter receive --recipient "$1" --sender "$2"\n'
    )
    command.chmod(0o755)
    return command


def _configure(folder: Path, *, port: int, next_hop: int, domain: str, command: Path) -> None:
    for name in ("queue", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    (folder / "main.cf").write_text(
        f"""\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = /dev/stdout
myhostname = mta.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_host_lookup = native
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
transport_maps = inline:{{ {{ {domain} = newsletter: }} }}
default_transport = smtp:[127.0.0.1]:{next_hop}
newsletter_destination_recipient_limit = 1
alias_maps =
"""
    )
    # Name, type, whether private, how many processes at most, program: as in the master.cf that it comes with.
    services = (
        (f"127.0.0.1:{port}", "inet", "n", "-", "smtpd"),
        ("pickup", "unix", "n", "1", "pickup"),
        ("cleanup", "unix", "n", "0", "cleanup"),
        ("qmgr", "unix", "n", "1", "qmgr"),
        ("proxymap", "unix", "-", "-", "proxymap"),
        ("rewrite", "unix", "-", "-", "trivial-rewrite"),
        ("bounce", "unix", "-", "0", "bounce"),
        ("defer", "unix", "-", "0", "bounce"),
        ("trace", "unix", "-", "0", "bounce"),
        ("verify", "unix", "-", "1", "verify"),
        ("smtp", "unix", "-", "-", "smtp"),
        ("error", "unix", "-", "-", "error"),
        ("retry", "unix", "-", "-", "error"),
        ("anvil", "unix", "-", "1", "anvil"),
        ("postlog", "unix-dgram", "n", "1", "postlogd"),
    )
    lines = [
        f"{name} {kind} {private} - n - {most} {program}" for name, kind, private, most, program in services
    ]
    lines.append(
        f"newsletter unix - n n - 1 pipe flags=DORu user=nobody null_sender= argv={command} ${{recipient}} ${{sender}}"
    )
    (folder / "master.cf").write_text("\n".join(lines) + "\n")
