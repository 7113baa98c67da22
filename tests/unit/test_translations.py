"""Every text that visitors and readers are shown is there in every language, whole and with its markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.catalog import Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

from newsletter.domain.languages import DEFAULT, LANGUAGES
from newsletter.paths import TEMPLATES
from newsletter.translations import catalog_file, translations

ROOT = Path(__file__).parents[2]
MAPPING = ROOT / "newsletter" / "translations" / "babel.cfg"
OTHERS = [language for language in LANGUAGES if language != DEFAULT]

_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?.")
_SHOWN_ATTRIBUTE = re.compile(r' (?:alt|aria-label|placeholder|title)="([^"]*)')
_TAG = re.compile(r"<[^>]*>")


@cache
def _texts() -> Catalog:
    """All texts of code and templates, found afresh."""
    with MAPPING.open() as mapping:
        methods, options = parse_mapping_cfg(mapping, filename=str(MAPPING))  # type: ignore[no-untyped-call]
    found = Catalog()
    for file, line, text, comments, context in extract_from_dir(
        str(ROOT), methods, options, keywords={**DEFAULT_KEYWORDS, "N_": None}
    ):
        found.add(text, None, [(file, line)], auto_comments=comments, context=context)
    return found


@cache
def _catalog(language: str) -> Catalog:
    with catalog_file(language).open("rb") as file:
        return read_po(file, locale=language)


def _forms(words: str | Sequence[object] | None) -> list[str]:
    """A text or its translation, as the list of its forms: more than one where it has plurals."""
    return [words] if isinstance(words, str) else [str(form or "") for form in words or ()]


def _pairs(language: str) -> Iterator[tuple[list[str], list[str]]]:
    """Each text with its translation; what is missing is another test's affair."""
    for text in _texts():
        translated = _catalog(language).get(_key(text), text.context)
        if text.id and translated is not None:
            yield _forms(text.id), _forms(translated.string)


def _key(text: Message) -> str:
    return _forms(text.id)[0]


def test_the_search_finds_texts_of_every_kind() -> None:
    found = {place.partition("/")[0] for text in _texts() for place, _ in text.locations}

    assert found == {"newsletter", "templates"}
    assert len(_texts()) > 100


@pytest.mark.parametrize("language", OTHERS)
def test_no_translation_is_missing_empty_or_unsure(language: str) -> None:
    faults = []
    for text in _texts():
        translated = _catalog(language).get(_key(text), text.context)
        if not text.id:
            continue
        if translated is None:
            faults.append(f"missing in {language}: {text.id!r} (make translations brings it in)")
        elif not all(_forms(translated.string)):
            faults.append(f"empty in {language}: {text.id!r}")
        elif translated.fuzzy:
            faults.append(f"fuzzy in {language}: {text.id!r}")

    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("language", OTHERS)
def test_no_translation_is_left_of_a_text_that_is_gone(language: str) -> None:
    catalog = _catalog(language)
    gone = [text.id for text in catalog if text.id and _texts().get(_key(text), text.context) is None]

    assert [*gone, *catalog.obsolete] == [], f"obsolete in {language} (make translations drops them)"


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_placeholders_of_its_text(language: str) -> None:
    faults = []
    for text, forms in _pairs(language):
        wanted = set(_PLACEHOLDER.findall(" ".join(text)))
        for form in forms:
            # A plural form may say its number in words, as Arabic does for one and two.
            missing = wanted - set(_PLACEHOLDER.findall(form)) - ({"num"} if len(text) > 1 else set())
            strange = set(_PLACEHOLDER.findall(form)) - wanted
            if missing or strange:
                faults.append(f"{language}: {text[0]!r} lacks {missing or None}, adds {strange or None}")

    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_markup_of_its_text_and_no_other(language: str) -> None:
    """Translations stand in pages unescaped, some of them in attributes."""
    for text, forms in _pairs(language):
        for form in forms:
            assert sorted(_TAG.findall(form)) == sorted(_TAG.findall(text[0])), f"{language}: {form}"
            for character in '<>&"':
                assert form.count(character) == text[0].count(character), f"{language}: {form}"


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_all_plural_forms_of_its_language(language: str) -> None:
    catalog = _catalog(language)
    chosen = translations(language).ngettext
    for text, forms in _pairs(language):
        if len(text) > 1:
            assert len(forms) == catalog.num_plurals, f"{language}: {text[0]!r}"
            assert {chosen(text[0], text[1], number) for number in range(200)} == set(forms), text[0]

    assert catalog.num_plurals == {"ar": 6}.get(language, 2)


def test_french_has_no_ordinary_space_beside_its_high_punctuation() -> None:
    for _, forms in _pairs("fr"):
        for form in forms:
            assert not re.search(r" [!?:;»]|« ", form), form


def test_a_language_that_we_do_not_speak_is_english() -> None:
    for language in ("en", "xx", "", "../../etc", "de\0", "a" * 10_000):
        assert translations(language).gettext("Sign up") == "Sign up"
    assert translations("de-AT").gettext("Sign up") == translations("de").gettext("Sign up") == "Anmelden"


@pytest.mark.parametrize("folder", ["public", "mail", "embed"])
def test_no_template_has_a_text_that_cannot_be_translated(folder: str) -> None:
    templates = Environment(extensions=["jinja2.ext.i18n"])
    for path in sorted((TEMPLATES / folder).rglob("*.*")):
        parsed = templates.parse(path.read_text())
        written = "".join(data.data for data in parsed.find_all(nodes.TemplateData))
        markup = re.sub(r"<style>.*?</style>", "", written, flags=re.DOTALL)
        shown = re.sub(r"<[^>]*>", " ", markup) + " ".join(_SHOWN_ATTRIBUTE.findall(markup))

        assert not re.findall(r"[^\W\d_]+", shown), f"{path.name} holds a text outside of _()"


@pytest.mark.parametrize(
    ("language", "others"),
    [
        ("de", ("Schaltfläche",)),  # Knopf
        # pressione, inscrição, link; and what is written in Portugal only
        ("pt", ("carregue", "aperte", "subscrição", "ligação", "introduz", "demasiad", "aceite", "gerir")),
    ],
)
def test_one_thing_has_one_name_in_a_language(language: str, others: tuple[str, ...]) -> None:
    translated = [form.lower() for _, forms in _pairs(language) for form in forms]

    assert [form for form in translated if any(other.lower() in form for other in others)] == []
