"""The wheel carries all that the service needs, and nothing of the checkout."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from newsletter.domain.languages import LANGUAGES
from tests.support.service import process_environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True
    )
    (built,) = folder.glob("*.whl")
    return built


def test_templates_migrations_styles_and_catalogs_are_in_it_and_the_rest_is_not(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    for folder in ("templates", "migrations"):
        for path in (ROOT / folder).rglob("*.*"):
            if "__pycache__" not in path.parts:
                assert f"newsletter/{folder}/{path.relative_to(ROOT / folder)}" in names
    assert "newsletter/static/site.css" in names
    assert "newsletter/domain/bounce_texts.toml" in names
    for language in LANGUAGES.keys() - {"en"}:
        assert f"newsletter/translations/{language}/LC_MESSAGES/messages.po" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "app.py", "docs/"))]


def test_installed_in_a_clean_environment_it_migrates_and_renders_a_page(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    here = subprocess.run(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    zipfile.ZipFile(wheel).extractall(site)
    # The dependencies come from this environment; the package itself from the wheel, which stands first.
    Path(site, "dependencies.pth").write_text(here + "\n")
    environ = process_environment({"NEWSLETTER_DATA_DIR": str(tmp_path / "data")})
    code = (
        "import newsletter, pathlib; from newsletter import create_app; app = create_app();"
        "page = app.test_client().get('/'); assert page.status_code == 200, page.status_code;"
        "assert 'Daily News' in page.text;"
        "page = app.test_client().get('/?locale=de'); assert 'So geht es' in page.text; print(pathlib.Path(newsletter.__file__).parent)"
    )
    subprocess.run([python, "-m", "newsletter", "init"], env=environ, cwd=tmp_path, check=True)
    done = subprocess.run(
        [python, "-c", code], env=environ, cwd=tmp_path, check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == f"{site}/newsletter"
