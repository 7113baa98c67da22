"""No form filler knows the trap: neither by the field's name nor by its label, in any language of ours."""

from __future__ import annotations

import re

import pytest

from newsletter.domain.languages import LANGUAGES
from newsletter.paths import TEMPLATES
from newsletter.translations import translations
from newsletter.web.assets import FOLDER

# What fillers look for in names, ids, labels and placeholders: stems that Chromium, Firefox and password managers
# publish, in the languages of ours and English. Each stands for a field that they fill.
_STEMS = re.compile(
    r"""
    e.?mail|courriel|correo|ईमेल|بريد
    |user|login|account|konto|compte|cuenta|conta\b|pass|kenn|senha|clave|code|otp|pin\b|token|captcha
    |name|nom\b|nombre|nome|vorname|nachname|apellido|apelido|sobrenome|prenom|prénom|famille|surname|नाम|اسم
    |initial|title|prefix|suffix|anrede|salut|tratamiento
    |company|business|organi[sz]ation|firma|unternehmen|empresa|soci[eé]t[eé]|entreprise|कंपनी|شركة
    |website|web.?site|url|homepage|domain|link\b|site\b
    |address|adress|direcci|endere|morada|street|stra(ss|ß)e|rue\b|calle|rua\b|avenida|line\b|suite|unit\b|apt|पता|عنوان|شارع
    |zip|postal|post|plz|pcode|\bcp\b|\bcap\b|\bcep\b|codigo|código|पिन|رمز
    |city|town|\bort\b|stadt|ciudad|ville|cidade|localidad|commune|शहर|مدينة
    |state\b|county|region|province|provincia|estado|bundesland|राज्य|ولاية
    |country|land\b|pa[ií]s|pays|देश|بلد|location|area
    |phone|mobile|tel\b|t[eé]l[eé]|handy|m[oó]vil|celular|fax|ext\b|मोबाइल|هاتف
    |birth|bday|geburt|naiss|nacim|nascim|age\b|gender|sex\b
    |card|karte|carte|tarjeta|cart[aã]o|nummer|number|num[eé]ro|n[uú]mero|cvc|cvv|csc|cvn|cid\b|exp|iban|bank|price|month|year|date
    |search|query|such|recherch|busca|coupon|promo|gift|comment|message|subject|note\b|question|answer
    """,
    re.IGNORECASE | re.VERBOSE,
)  # fmt: skip


def _sources() -> dict[str, str]:
    """Everything that draws a trap: the pages of ours, the snippets to copy, the element."""
    found = {str(file): file.read_text() for file in TEMPLATES.rglob("*.html")}
    found["embed.js"] = (FOLDER / "embed.js").read_text()
    return {name: text for name, text in found.items() if "leave_empty" in text}


def test_the_stems_know_the_fields_that_fillers_fill() -> None:
    for known in (
        "website",
        "company_url",
        "your-name",
        "user_email",
        "address2",
        "Postleitzahl",
        "Votre ville",
    ):
        assert _STEMS.search(known), known


def test_every_form_has_the_trap_under_a_name_that_no_filler_knows() -> None:
    assert len(_sources()) == 3
    assert not _STEMS.search("leave_empty")


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_label_is_no_label_that_a_filler_knows(language: str) -> None:
    label = translations(language).gettext("Leave this empty")

    assert not _STEMS.search(label), label


def test_nothing_else_of_the_trap_is_for_a_filler_to_know() -> None:
    """Neither an id, nor a placeholder, nor an autocomplete value but `off`."""
    for name, text in _sources().items():
        for field in re.findall(
            r"<input[^>]*leave_empty[^>]*>|make\(\"input\", \{[^}]*leave_empty[^}]*\}", text
        ):
            attributes = dict(re.findall(r"([\w-]+)\s*[=:]\s*\"([^\"]*)\"", field))
            assert attributes.get("autocomplete") == "off", name
            assert not attributes.keys() & {"id", "placeholder", "title", "aria-label", "list"}, name
