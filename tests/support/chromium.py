"""A real browser: Debian's Chromium, or whatever Chromium or Chrome is on the path."""

from __future__ import annotations

import shutil

HOW_TO_GET = "Chromium is not installed: on Debian, apt-get install chromium"
# As root there is no sandbox to be had; the rest keeps the browser from calling home.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def executable() -> str | None:
    """The browser's program, where there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)
