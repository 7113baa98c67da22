"""What people paste: what stands around an address is taken off, what stands inside is refused by its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.addresses import AddressError, parse_address
from newsletter.domain.pasted_addresses import INVISIBLE, WHITE
from newsletter.domain.plain_addresses import parse_plainly

AROUND = {
    "no-break space": "ann@example.org\N{NO-BREAK SPACE}",
    "ideographic space": "\N{IDEOGRAPHIC SPACE}ann@example.org",
    "line separator": "ann@example.org\N{LINE SEPARATOR}",
    "line end": "\r\n\tann@example.org\r\n",
    "next line": "ann@example.org\x85",
    "zero width space": "\u200b\u200bann@example.org\u200b",
    "byte order mark": "\ufeffann@example.org",
    "directions": "\u2066\u202aann@example.org\u202c\u2069\u200e",
    "soft hyphen": "ann@example.org\N{SOFT HYPHEN}",
    "invisible and blank": "\u2060 \u200eann@example.org \ufeff\u3000",
    "a link": "mailto:ann@example.org",
    "a link in capitals": "MAILTO:ann@example.org",
    "a link with a subject": "mailto:ann@example.org?subject=Hello&cc=bob@example.org",
    "an encoded link": "mailto:%20ann%40example.org%0D%0A?body=x",
    "a link as of the web": "mailto://ann@example.org",
    "brackets": "<ann@example.org>",
    "brackets round a link": "<mailto:ann@example.org>",
    "two brackets": "<<ann@example.org>>",
    "half a bracket": "<ann@example.org",
    "round brackets": "(ann@example.org)",
    "full-width brackets": "\N{FULLWIDTH LEFT PARENTHESIS}ann@example.org\N{FULLWIDTH RIGHT PARENTHESIS}",
    "corner brackets": "「ann@example.org」",
    "a name": "Ann <ann@example.org>",
    "a name with blanks": "  Ann\N{NO-BREAK SPACE}<ann@example.org>  ",
    "a quoted name": '"Reader, Ann" <ann@example.org>;',
    "a name with an @": "Ann @ home <ann@example.org>",
    "the address as a name": '"Ann@Example.org" <ann@example.org>',
    "a name before": "Ann Reader (ann@example.org)",
    "a name behind": "ann@example.org (Ann Reader)",
    "a link behind": "ann@example.org <mailto:ann@example.org>",
    "quotes": '"ann@example.org"',
    "typographic quotes": "“ann@example.org”",
    "guillemets": "« ann@example.org »",
    "apostrophes": "'ann@example.org'",
    "one apostrophe": "ann@example.org'",
    "backticks": "`ann@example.org`",
    "emphasis": "**ann@example.org**",
    "full stop": "ann@example.org.",
    "comma": "ann@example.org,",
    "semicolon": "; ann@example.org;",
    "colon": "ann@example.org:",
    "exclamation mark": "ann@example.org!",
    "ideographic full stop": "ann@example.org。",
    "a sentence's end": '(ann@example.org).',
    "full-width @": "ann＠example.org",
    "small @": "ann﹫example.org",
    "full-width letters": "ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ",
    "ideographic dot": "ann@example。org",
    "half-width dot": "ann@example｡org",
}  # fmt: skip

INSIDE = {
    "a nn@example.org": "There is a space after “a”. An email address has none.",
    "ann@exa\N{NO-BREAK SPACE}mple.org": "There is a space after “ann@exa”. An email address has none.",
    "ann@exa\nmple.org": "There is a line break after “ann@exa”. An email address has none.",
    "ann@exa\u200bmple.org": "There is an invisible character (U+200B) after “ann@exa”. Please delete it, or type "
    "the address again.",
    "an\u202en@example.org": "There is an invisible character (U+202E) after “an”. Please delete it, or type the "
    "address again.",
    "ann\u200d@example.org": "There is an invisible character (U+200D) after “ann”. Please delete it, or type the "
    "address again.",
    "mailto:a%00nn@example.org": "There is an invisible character (U+0000) after “a”. Please delete it, or type "
    "the address again.",
    "ann@example.org\0": "There is an invisible character (U+0000) after “ann@example.org”. Please delete it, or "
    "type the address again.",
    "\0ann@example.org": "An email address cannot begin with “U+0000”.",
    "ann@example.org bob@example.org": "There is more than one email address here. Please enter one.",
    "ann@example.org, bob@example.org": "There is more than one email address here. Please enter one.",
    "ann@example.org\r\nBcc: bob@example.org": "There is more than one email address here. Please enter one.",
    "bob@example.org <ann@example.org>": "There is more than one email address here. Please enter one.",
    "ann@@example.org": "There is a second @ sign after “ann@”. An email address has one.",
    "ann@example,org": "There is a comma after “ann@example”. Should it be a dot?",
    "ann,lee@example.org": "There is a comma after “ann”. Should it be a dot?",
    "annexample.org": "The @ sign is missing. An email address looks like ann@example.org.",
    "@example.org": "Something is missing before the @ sign.",
    "ann@": "Something is missing after the @ sign.",
    "ann(x)@example.org": "The character “(” after “ann” does not belong there.",
    "ann@exam_ple.org": "The character “_” after “ann@exam” does not belong there.",
    ".ann@example.org": "An email address cannot begin with “.”.",
    "ann..lee@example.org": "There is one dot too many after “ann”.",
    "ann.@example.org": "There is one dot too many after “ann”.",
    "ann@.example.org": "There is one dot too many after “ann@”.",
    # Shown short somewhere: the rest is not known.
    "ann@example.co...": "There is one dot too many after “ann@example.co”.",
    "ann@example.o…": "The character “…” after “ann@example.o” does not belong there.",
    "x" * 40 + " @example.org": "There is a space after “…" + "x" * 30 + "”. An email address has none.",
    "\u200b \ufeff": "Please enter your email address.",
    "mailto:?subject=x": "Please enter your email address.",
}  # fmt: skip


@pytest.mark.parametrize("how", AROUND)
def test_what_stands_around_an_address_is_taken_off(how: str) -> None:
    for parse in (parse_address, parse_plainly):
        address = parse(AROUND[how])

        assert (address.text, address.identity) == ("ann@example.org", "ann@example.org")


@pytest.mark.parametrize("text", INSIDE)
def test_what_stands_inside_is_refused_by_its_name_and_place(text: str) -> None:
    with pytest.raises(AddressError) as refused:
        parse_address(text)

    assert str(refused.value) == INSIDE[text]


def test_every_blank_and_every_invisible_character_goes_at_the_ends_and_is_named_inside() -> None:
    assert all(character.isspace() for character in WHITE)
    for character in WHITE + INVISIBLE[:60] + INVISIBLE[-3:]:
        assert parse_address(f"{character}ann@example.org{character}").text == "ann@example.org"
        with pytest.raises(AddressError, match="There is a"):
            parse_address(f"an{character}n@example.org")


@pytest.mark.parametrize(
    "text",
    ["'ann@example.org", "*ann@example.org", "_ann_@example.org", "{ann}@example.org", "ann'@example.org"],
)
def test_a18_what_may_belong_to_the_address_is_part_of_who_somebody_is(text: str) -> None:
    assert parse_address(text).text == text


@given(st.text("<>()[]'\"*`,;:.@ \u200bannmailto%20?#/＠", max_size=60))
def test_anything_pasted_is_an_address_or_refused_with_a_message_that_can_be_shown(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError as error:
        assert str(error) == (error.text % error.values if error.values else error.text)
        assert str(error).isprintable() or "\u200b" in str(error)
    else:
        assert parse_address(address.text) == address


@pytest.mark.parametrize("what", ["(", "mailto:", "<", "'", "a@", "a ", "\u200b", "…", "[a](", "."])
def test_a_long_text_is_refused_without_long_work(what: str) -> None:
    for length in (2_000, 8_000, 200_000):
        with pytest.raises(AddressError):
            parse_address(what * (length // len(what)) + "ann@example")
