"""A list's reminder and welcome are set in the console, by the API and by command, and mean the same in each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.acting import audited, the_list
from tests.support.api import caller, problem
from tests.support.operators import Console
from tests.support.service import Service

SETTINGS = {
    "name": "Daily News",
    "headline": "",
    "invitation": "",
    "sender": "",
    "locale": "",
    "sites": "",
    "return_urls": "",
}


def test_the_console_sets_shows_and_takes_back_both(service: Service) -> None:
    console = Console.of(service, "owner@example.org")
    url = "/operator/lists/daily/settings"

    console.post(url, **SETTINGS, reminder_after="36h", welcome="Hello!\r\n\r\nBye")
    assert (the_list(service).reminder_after_hours, the_list(service).welcome) == (36, "Hello!\n\nBye")
    page = console.get(url).text
    assert 'value="36h"' in page
    assert "Hello!\n\nBye</textarea>" in page
    assert ("list.edited", "daily") in audited(service)

    refused = console.post(url, **SETTINGS, reminder_after="soon", welcome="Hello!")
    assert refused.status_code == 422
    assert "A reminder comes after a time such as 2d or 36h" in refused.text
    assert 'value="soon"' in refused.text

    console.post(url, **SETTINGS, reminder_after="", welcome="")
    assert (the_list(service).reminder_after_hours, the_list(service).welcome) == (None, None)


def test_the_api_sets_shows_and_takes_back_both(service: Service) -> None:
    call = caller(service)

    changed = call.patch(
        "/lists/daily", json={"reminder_after_hours": 48, "welcome": "Hello!\nBye"}
    ).get_json()
    assert (changed["reminder_after_hours"], changed["welcome"]) == (48, "Hello!\nBye")
    assert call.get("/lists/daily").get_json()["welcome"] == "Hello!\nBye"
    taken_back = call.patch("/lists/daily", json={"reminder_after_hours": None, "welcome": None}).get_json()
    assert (taken_back["reminder_after_hours"], taken_back["welcome"]) == (None, None)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"reminder_after_hours": 0}, "reminder_after_hours"),
        ({"reminder_after_hours": 721}, "reminder_after_hours"),
        ({"reminder_after_hours": "2d"}, "reminder_after_hours"),
        ({"reminder_after_hours": 1.5}, "reminder_after_hours"),
        ({"reminder_after_hours": 10**30}, "reminder_after_hours"),
        ({"welcome": "x" * 5001}, "welcome"),
        ({"welcome": "a\0b"}, "welcome"),
        ({"welcome": "a\x07b"}, None),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_the_api(
    on_sqlite: Service, sent: dict[str, Any], field: str | None
) -> None:
    told = problem(caller(on_sqlite).patch("/lists/daily", json=sent), 422)

    assert field is None or list(told["errors"]) == [field]
    assert the_list(on_sqlite).welcome is None


def test_the_command_sets_shows_and_takes_back_both(on_sqlite: Service) -> None:
    file = on_sqlite.settings.data_dir / "welcome.txt"
    file.write_text("Hello, ünïcode!\n\nBye\n")

    shown = on_sqlite.command(
        "lists", "edit", "daily", "--reminder-after", "2d", "--welcome", str(file)
    ).stdout
    assert "reminder:     after 2d" in shown
    assert "welcome:      Hello, ünïcode! …" in shown
    late = on_sqlite.command("lists", "edit", "daily", "--reminder-after", "7d").stdout
    assert "never: confirmation links work for 7 days" in late

    on_sqlite.command("lists", "edit", "daily", "--reminder-after", "off", "--no-welcome")
    assert (the_list(on_sqlite).reminder_after_hours, the_list(on_sqlite).welcome) == (None, None)


def test_a_file_that_is_no_text_is_refused_in_one_line(on_sqlite: Service) -> None:
    file = on_sqlite.settings.data_dir / "welcome.bin"
    file.write_bytes(b"\xff\xfe\x00")

    refused = on_sqlite.command("lists", "edit", "daily", "--welcome", str(file), check=False)
    assert refused.returncode != 0
    assert "cannot be read as text in UTF-8" in refused.stderr
    assert the_list(on_sqlite).welcome is None
