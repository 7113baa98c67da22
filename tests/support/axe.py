"""What axe-core finds on a page: by day all its rules, by night those that look at colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Frame, Page

_BY_DAY = {"resultTypes": ["violations"]}
_BY_NIGHT = _BY_DAY | {"runOnly": ["color-contrast", "link-in-text-block"]}


def found_by_axe(page: Page, frames: Sequence[Frame] = ()) -> list[str]:
    """Each rule with the places that break it, on a page and in some of its frames."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    parts: list[Page | Frame] = [page, *frames]
    found = [f"by day: {one}" for part in parts for one in _broken(part, _BY_DAY)]
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    return found + [f"by night: {one}" for part in parts for one in _broken(part, _BY_NIGHT)]


def _broken(part: Page | Frame, options: dict[str, list[str]]) -> Iterator[str]:
    for rule in Axe().run(part, options=options).response["violations"]:
        for node in rule["nodes"]:
            yield f"{part.url}: {rule['id']}: {node['target']}"
