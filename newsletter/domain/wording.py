"""The words of a sign-up form: shown on the page, and kept as evidence of what was agreed to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from newsletter.domain.languages import N_

INVITATION = N_("Get %(list)s directly in your inbox!")
BUTTON = N_("Sign up")
# What the first list is made with. Words of a list that stand in the catalogs are shown in each language.
FIRST_HEADLINE = N_("Your Daily News in Just 5 Minutes!")
FIRST_INVITATION = N_("Get daily news directly in your inbox!")
FINE_PRINT = N_("We’ll send one email to confirm. Unsubscribe any time with one click.")


@dataclass(frozen=True)
class FormWording:
    """What a visitor reads around the address field."""

    invitation: str
    button: str
    fine_print: str

    @property
    def text(self) -> str:
        """All words in the order in which they are read."""
        return f"{self.invitation}\n[{self.button}]\n{self.fine_print}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def form_wording(list_name: str, invitation: str | None, translate: Callable[[str], str]) -> FormWording:
    """The words for a list's form. Its own invitation stands as its publisher wrote it, unless it is one of
    ours."""
    return FormWording(
        invitation=translate(invitation) if invitation else translate(INVITATION) % {"list": list_name},
        button=translate(BUTTON),
        fine_print=translate(FINE_PRINT),
    )
