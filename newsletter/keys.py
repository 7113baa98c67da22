"""The signing keys: from the settings, or from a file in the data directory that the first start makes."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from newsletter.settings import Settings, SettingsError

LEAST_LENGTH = 32


def prepare_data_dir(settings: Settings) -> None:
    """Make the data directory, where anything is kept in it. Raises `SettingsError` where that cannot be."""
    if not settings.needs_data_dir:
        return
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            f"NEWSLETTER_DATA_DIR must be a directory that this user can write to: {folder}: {error.strerror}"
        ) from error


def signing_keys(settings: Settings) -> tuple[str, ...]:
    """The keys in force, oldest first: the last one signs, all verify.

    Raises `SettingsError` where the file cannot be read, or holds a key that is too short.
    """
    if settings.secret_keys:
        return settings.secret_keys
    path = settings.keys_file
    try:
        if not path.exists():
            _create(path)
        keys = tuple(line.strip() for line in path.read_text("ascii").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the keys in {path} cannot be read: {error}") from error
    if not keys or any(len(key) < LEAST_LENGTH for key in keys):
        raise SettingsError(
            f"{path} must hold keys of at least {LEAST_LENGTH} characters, one a line, the newest last"
        )
    return keys


def _create(path: Path) -> None:
    """Write one fresh key. Of several processes that start at once, the first one's key stands."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
