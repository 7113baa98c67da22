"""The words of a sign-up form: shown on the page, and kept as evidence of what was agreed to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

BUTTON = "Sign up"
FINE_PRINT = "We’ll send one email to confirm. Unsubscribe any time with one click."


@dataclass(frozen=True)
class FormWording:
    """What a visitor reads around the address field."""

    invitation: str
    button: str = BUTTON
    fine_print: str = FINE_PRINT

    @property
    def text(self) -> str:
        """All words in the order in which they are read."""
        return f"{self.invitation}\n[{self.button}]\n{self.fine_print}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def form_wording(list_name: str, invitation: str | None) -> FormWording:
    """The words for a list's form."""
    return FormWording(invitation or f"Get {list_name} directly in your inbox!")
