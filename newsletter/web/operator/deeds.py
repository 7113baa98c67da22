"""Deeds that cannot be undone ask once more: a page that says what will happen, a button, and a way back."""

from __future__ import annotations

from flask import render_template, request


def is_confirmed() -> bool:
    """Whether the button of that page was pressed."""
    return request.form.get("confirmed") == "yes"


def ask_once_more(title: str, consequence: str, *, button: str, back: str) -> str:
    """The page. Its form goes to where the request came from, with all fields that came with it."""
    fields = {name: value for name, value in request.form.items() if name not in ("csrf_token", "confirmed")}
    return render_template(
        "operator/ask_once_more.html", title=title, consequence=consequence, button=button, back=back,
        fields=fields,
    )  # fmt: skip
