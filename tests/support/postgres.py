"""A real PostgreSQL server of the suite's own, run as an ordinary user when the suite runs as root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HOW_TO_GET = "the PostgreSQL server is not installed: on Debian, apt-get install postgresql"


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl, where there is one."""
    on_path = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = [Path(on_path).resolve().parent] if on_path else []
    return next((folder for folder in [*reversed(folders), *found] if (folder / "pg_ctl").exists()), None)


@dataclass(frozen=True)
class Postgres:
    """A running server; `url` names one of its databases."""

    bin: Path
    folder: Path
    port: int

    @classmethod
    def start(cls) -> Postgres:
        """Make a cluster in a new folder and start it. Durability is off: what is tested is not the disk."""
        found = binaries()
        assert found is not None, HOW_TO_GET
        folder = Path(tempfile.mkdtemp(prefix="newsletter-pg-"))
        server = cls(found, folder, free_port())
        if os.geteuid() == 0:
            shutil.chown(folder, _ordinary_user())
        server._run(
            "initdb",
            "-D",
            f"{folder}/data",
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        )
        server.resume()
        return server

    def resume(self) -> None:
        """Start the server, or start it again."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        self._run(
            "pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-o", options, "-w", "start"
        )

    def pause(self) -> None:
        """Stop the server; its data stays."""
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.pause()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement with psql and return what it prints."""
        command = [
            "psql",
            "-h",
            str(self.folder),
            "-p",
            str(self.port),
            "-U",
            "postgres",
            "-Atqc",
            statement,
            database,
        ]
        return self._run(*command)

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(self.bin / program), *arguments]
        if os.geteuid() == 0:
            user = _ordinary_user()
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
        # pg_ctl's server keeps our pipes open, so its output goes to a file.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd="/", check=False)
            output.seek(0)
            text = output.read().decode()
        assert done.returncode == 0, f"{program} failed: {text}"
        return text.strip()


def _ordinary_user() -> str:
    """The user that Debian's package makes for the server, else nobody."""
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
