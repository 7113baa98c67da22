"""The data directory and the keys that the first start makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from newsletter.keys import prepare_data_dir, signing_keys
from newsletter.settings import Settings, SettingsError


def _settings(folder: Path, **values: str) -> Settings:
    return Settings.from_environment({"NEWSLETTER_DATA_DIR": str(folder)} | values)


def test_the_first_start_makes_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "a" / "b")
    prepare_data_dir(settings)
    keys = signing_keys(settings)

    assert len(keys) == 1
    assert len(keys[0]) >= 32
    assert signing_keys(settings) == keys
    assert settings.keys_file.stat().st_mode & 0o777 == 0o600
    assert settings.data_dir.stat().st_mode & 0o077 == 0


def test_keys_of_the_environment_stand_before_those_of_the_file(tmp_path: Path) -> None:
    settings = _settings(tmp_path, NEWSLETTER_SECRET_KEYS="k" * 32 + "," + "n" * 32)

    assert signing_keys(settings) == ("k" * 32, "n" * 32)
    assert not settings.keys_file.exists()


def test_many_first_starts_at_once_agree_on_one_key(tmp_path: Path) -> None:
    code = (
        "import sys; from newsletter.settings import Settings; from newsletter.keys import *;"
        "s = Settings.from_environment({'NEWSLETTER_DATA_DIR': sys.argv[1]}); prepare_data_dir(s); print(signing_keys(s))"
    )
    starts = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "x")], stdout=subprocess.PIPE)
        for _ in range(4)
    ]

    assert len({start.communicate()[0] for start in starts}) == 1


@pytest.mark.parametrize("content", ["", "short\n", "k" * 32 + "\nshort\n"])
def test_a_broken_key_file_is_named(tmp_path: Path, content: str) -> None:
    settings = _settings(tmp_path)
    settings.keys_file.write_text(content)

    with pytest.raises(SettingsError, match="secret_keys must hold keys"):
        signing_keys(settings)


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match="NEWSLETTER_DATA_DIR must be a directory"):
        prepare_data_dir(_settings(tmp_path / "file"))
