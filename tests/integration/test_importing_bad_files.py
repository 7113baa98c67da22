"""Files that are broken, hostile, or not what they seem: each is refused with words, and loses nothing."""

from __future__ import annotations

import gzip
import io
import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator

import pytest

from newsletter.models import ImportState
from newsletter.services.importing import ImportFault, Options
from newsletter.services.importing.options import Form
from newsletter.services.importing.reading import Bad, rows
from tests.support.importing import (
    STATED,
    found,
    imported,
    looked_at,
    reasons,
    refused,
    start,
    started,
    uploaded,
)
from tests.support.service import Service

NAMES = "SELECT name FROM subscribers ORDER BY address"


def test_a_file_in_an_old_encoding_is_read_and_the_operator_is_told(service: Service) -> None:
    import_id = uploaded(service, "email;name\nann@example.org;Bärbel Groß\n".encode("cp1252"))
    seen = looked_at(service, import_id)

    assert (seen.encoding, seen.delimiter) == ("cp1252", ";")
    assert seen.samples == (("ann@example.org", "Bärbel Groß"),)
    assert "Windows-1252" in seen.notes[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_delimiters_and_line_ends_are_told_by_themselves(
    on_sqlite: Service, encoding: str, delimiter: str, end: str
) -> None:
    text = end.join(
        [f"email{delimiter}name", f"ann@example.org{delimiter}Zoë", f"bob@example.org{delimiter}B"]
    )
    done = imported(on_sqlite, text.encode(encoding))

    assert done.report["added"] == {"pending": 2}
    assert on_sqlite.rows(NAMES) == [("Zoë",), ("B",)]


def test_bytes_of_another_encoding_far_down_are_seen_before_any_row_is_read(on_sqlite: Service) -> None:
    many = "".join(f"u{number}@example.org,Ann\n" for number in range(60_000))
    import_id = uploaded(on_sqlite, b"email,name\n" + many.encode() + b"z@example.org,Gro\xdf\n")

    assert looked_at(on_sqlite, import_id).encoding == "cp1252"


def test_bytes_that_the_chosen_encoding_does_not_know_refuse_their_row(service: Service) -> None:
    import_id = started(
        service, b"email,name\nann@example.org,Gro\xdf\nbob@example.org,Bob\n", given={"encoding": "utf-8"}
    )
    service.work()

    assert "another encoding" in reasons(service, import_id)[2]
    assert service.states() == {"bob@example.org": "pending"}


def test_a_file_with_a_mark_of_utf_16_that_is_none_fails_with_words(service: Service) -> None:
    with pytest.raises(ImportFault, match="utf-16"):
        uploaded(service, b"\xff\xfee\x00m\x00\x00\xd8\x00\x00")


@pytest.mark.parametrize("state", ["email\n", "\ufeffemail\n", "email,name\n\n\n"])
def test_a_file_with_nothing_but_a_header_has_no_rows(service: Service, state: str) -> None:
    done = imported(service, state)

    assert done.state is ImportState.DONE
    assert done.report["rows"] == 0


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(service: Service, data: bytes) -> None:
    with pytest.raises(ImportFault, match="empty"):
        uploaded(service, data)

    assert (
        service.one("SELECT count(*) FROM imports") == service.one("SELECT count(*) FROM import_chunks") == 0
    )


def _zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("people.csv", "email\nann@example.org\n" * 1000)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "word"),
    [(_zipped(), "ZIP"), (gzip.compress(b"email\nann@example.org\n"), "gzip"), (b"PAR1xxxx", "Parquet")],
    ids=["zip", "gzip", "parquet"],
)
def test_packed_files_are_refused_and_never_unpacked(service: Service, data: bytes, word: str) -> None:
    with pytest.raises(ImportFault, match=f"{word}.*unpack"):
        uploaded(service, data)


def test_a_file_over_the_limit_is_refused_and_nothing_of_it_stays(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("sqlite", NEWSLETTER_LARGEST_IMPORT_MB="1")

    with pytest.raises(ImportFault, match="at most 1 MB"):
        uploaded(service, b"email\n" + b"ann@example.org\n" * 70_000)
    assert service.one("SELECT count(*) FROM import_chunks") == 0


def test_each_bad_row_is_refused_with_its_line_and_why(service: Service) -> None:
    import_id = started(
        service,
        "email,name,state,created_at,attributes\n"
        "good@example.org,Good,,,\n"
        "no-at,X,,,\n"
        "a@example.org,Ann\n"
        "b@example.org,B,,,,,extra\n"
        "c@example.org,C,dancing,,\n"
        "d@example.org,D,,31.31.2024,\n"
        'e@example.org,E,,,"{""a"":"\n'
        'f@example.org,"Fay\r\nBcc: x@example.org",,,\n'
        "g@example.org,G\0,,,\n"
        "GOOD@example.org,Again,,,\n"
        'h@example.org,"H "in" it",,,\n'
        "i@example.org,I,,2999-01-01,\n"
        "j@example.org,J,,,[1]\n"
        f"k@example.org,{'K' * 201},,,\n"
        f"l@example.org,{'L' * 140_000},,,\n"
        "last@example.org,Last,,,\n",
    )
    service.work()

    said = reasons(service, import_id)
    for line, word in {
        3: "@ sign is missing", 4: "too few fields", 5: "too many fields", 6: "no state", 7: "no date",
        8: "no JSON", 9: "line break", 11: "NUL", 12: "in line 2 already", 13: "not doubled", 14: "future",
        15: "no JSON object", 16: "longer than 200", 17: "larger than 128 KiB",
    }.items():  # fmt: skip
        assert word in said.pop(line)
    assert said == {}
    assert set(service.states()) == {"good@example.org", "last@example.org"}


def test_a_quotation_mark_that_never_closes_fails_the_file_and_says_where(service: Service) -> None:
    good = "".join(f"u{number}@example.org,Ann\n" for number in range(10))
    done = imported(service, f'email,name\n{good}bob@example.org,"Bob\ncem@example.org,Cem\n')

    assert done.state is ImportState.FAILED
    assert done.error == "line 12: a quotation mark opens a cell here and never closes it"
    assert service.states() == {}
    assert service.one("SELECT count(*) FROM import_chunks") == 0


@pytest.mark.parametrize("cell", ['"{}"', "{}", '"{}\n{}"', "{},{}"])
def test_a_cell_of_100_mb_is_refused_in_little_memory(cell: str) -> None:
    size = 100 * 1024 * 1024

    def parts() -> Iterator[bytes]:
        before, _, after = (b"ann@example.org," + cell.encode()).partition(b"{}")
        yield b"email,name\n" + before
        for _ in range(size // 65536):
            yield b"x" * 65536
        yield after.replace(b"{}", b"y") + b"\nbob@example.org,Bob\n"

    tracemalloc.start()
    found = list(rows(parts(), Options({"email": "email"}), ("email", "name"), {}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(found[0], Bad)
    assert found[0].line == 2
    assert found[1].cells == ["bob@example.org", "Bob"]  # type: ignore[union-attr]
    assert len(found) == 2
    assert peak < 8 * 1024 * 1024


def test_a_json_line_of_100_mb_is_refused_in_little_memory() -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"email":"'
        for _ in range(1600):
            yield b"x" * 65536
        yield b'"}\n{"email":"bob@example.org"}\n'

    tracemalloc.start()
    options = Options({"email": "email"}, form=Form.JSONL)
    found = list(rows(parts(), options, ("email",), {}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [type(row).__name__ for row in found] == ["Bad", "Row"]
    assert peak < 12 * 1024 * 1024


def test_columns_of_the_same_name_are_told_apart(service: Service) -> None:
    import_id = uploaded(service, "email,name,name,email\nann@example.org,Ann,Annie,ann@example.com\n")
    seen = looked_at(service, import_id)

    assert seen.columns == ("email", "name", "name (2)", "email (2)")
    assert seen.mapping == {
        "email": "email", "name": "name", "name (2)": "attribute:name (2)", "email (2)": "attribute:email (2)",
    }  # fmt: skip
    assert len(seen.notes) == 3  # the second address is pointed out


def test_formulas_are_texts(service: Service) -> None:
    imported(service, "email,name,note\nann@example.org,=1+1,'=2+2\n")

    assert service.rows(NAMES) == [("=1+1",)]
    assert json.loads(service.one("SELECT CAST(attributes AS text) FROM subscribers")) == {"note": "'=2+2"}


def test_the_apostrophe_of_a_safe_export_goes_where_the_operator_says_that_it_is_one(
    service: Service,
) -> None:
    imported(service, "email,name\nann@example.org,'=1+1\nbob@example.org,'Bob\n", safe=True)

    assert service.rows(NAMES) == [("=1+1",), ("'Bob",)]


@pytest.mark.parametrize(
    "file",
    [
        "email,subscribed\nann@example.org,\nbob@example.org,1\n",
        '{"email":"ann@example.org","subscribed":null}\n{"email":"bob@example.org","subscribed":true}\n',
    ],
    ids=["csv", "jsonl"],
)
def test_nobody_is_subscribed_whom_nothing_says_to_be(service: Service, file: str) -> None:
    import_id = started(service, file, statement=STATED)
    service.work()

    assert service.states() == {"bob@example.org": "confirmed"}
    assert "neither true nor false" in next(iter(reasons(service, import_id).values()))


def test_json_of_wrong_types_is_refused_row_by_row(service: Service) -> None:
    lines = [
        '{"email": "good@example.org", "attributes": {"n": 1}}',
        '{"email": 7}',
        '{"email": null}',
        '{"name": "nobody"}',
        '{"email": "a@example.org", "name": ["x"]}',
        '{"email": "b@example.org", "attributes": "{"}',
        '{"email": "c@example.org", "attributes": [1]}',
        '[1, 2]',
        "{oops}",
        '{"email": "d@example.org", "attributes": {"x": NaN}}',
        '{"email": "e@example.org", "attributes": {"x": "\\u0000"}}',
        '{"email": "f@example.org", "attributes": {"x": "\\ud800"}}',
        '{"email": "g@example.org", "attributes": ' + '{"x":' * 5000 + "1" + "}" * 5001,
        '{"email": "h@example.org", "attributes": {"x": 1' + "0" * 5000 + "}}",
        '{"email": "i@example.org", "attributes": {"x": 1e999}}',
        '{"email": "last@example.org", "name": "L\\nX"}',
    ]  # fmt: skip
    import_id = started(service, "\n".join(lines))
    service.work()

    assert set(service.states()) == {"good@example.org"}
    assert [one.line for one in refused(service, import_id)] == list(range(2, len(lines) + 1))


def test_keys_that_only_later_objects_have_are_columns_as_well(service: Service) -> None:
    lines = [f'{{"email": "u{number}@example.org"}}' for number in range(300)]
    import_id = uploaded(service, "\n".join([*lines, '{"email": "z@example.org", "plan": "gold"}']))

    assert looked_at(service, import_id).mapping == {"email": "email", "plan": "attribute:plan"}


@pytest.mark.parametrize("key", ["state", "Status", "unsubscribed_at"])
def test_who_left_by_a_key_that_only_a_late_object_has_has_left(on_sqlite: Service, key: str) -> None:
    value = "2026-01-31" if key.endswith("at") else "unsubscribed"
    lines = [f'{{"email": "u{number}@example.org"}}' for number in range(40_000)]  # more than a megabyte
    lines += [json.dumps({"email": "gone@example.org", key: value})]

    imported(on_sqlite, "\n".join(lines), statement=STATED)

    assert on_sqlite.states()["gone@example.org"] == "unsubscribed"


def test_keys_beyond_those_that_are_taken_are_counted_and_told(service: Service) -> None:
    lines = [json.dumps({"email": f"u{number}@example.org"}) for number in range(300)]
    lines += [json.dumps({"email": f"v{number}@example.org", f"k{number}": 1}) for number in range(210)]

    done = imported(service, "\n".join(lines))

    assert len(done.report["ignored"]) == 11


_FORGOTTEN = {
    "csv": ("email,status\nann@example.org,unsubscribed\n", {"email": "email"}),
    "jsonl": ('{"email":"ann@example.org","unsubscribed_at":"2026-01-31"}', {"email": "email"}),
    "a yes or no": ("email,Opted out\nann@example.org,yes\n", None),
    "two of a kind": ("email,state,status\nann@example.org,confirmed,unsubscribed\n", None),
}


@pytest.mark.parametrize(("data", "mapping"), _FORGOTTEN.values(), ids=_FORGOTTEN)
def test_a_column_that_may_say_who_left_is_not_passed_over(
    on_sqlite: Service, data: str, mapping: dict[str, str] | None
) -> None:
    import_id = uploaded(on_sqlite, data)
    seen = looked_at(on_sqlite, import_id)
    mapping = mapping or seen.mapping

    with pytest.raises(ImportFault, match=r"may say who left.*state, subscribed, unsubscribed_at"):
        start(on_sqlite, import_id, seen.options(mapping=mapping))
    forgotten = {column: "ignore" for column in seen.columns if column not in mapping}
    start(on_sqlite, import_id, seen.options(mapping=mapping | forgotten))
    on_sqlite.work()

    assert on_sqlite.states() == {"ann@example.org": "pending"}


def test_what_the_whole_file_told_is_known_after_a_check_as_well(on_sqlite: Service) -> None:
    lines = [json.dumps({"email": f"u{number}@example.org"}) for number in range(300)]
    data = "\n".join([*lines, '{"email": "J\u00f6rg@example.org", "state": "unsubscribed"}'])
    import_id = started(on_sqlite, data.encode("cp1252"), checks=True)
    on_sqlite.work()

    seen = looked_at(on_sqlite, import_id)

    assert (seen.encoding, seen.columns) == ("cp1252", ("email", "state"))
    with pytest.raises(ImportFault, match="'state' may say who left"):
        start(on_sqlite, import_id, seen.options(mapping={"email": "email"}))


def test_of_several_rows_of_one_address_the_one_that_leaves_counts(service: Service) -> None:
    import_id = started(
        service,
        "email,state\na@example.org,confirmed\nA@EXAMPLE.org,unsubscribed\nb@example.org,bounced\n"
        "b@example.org,pending\nc@example.org,unsubscribed\nc@example.org,complained\nd@example.org,\n"
        "d@example.org,confirmed\n",
        statement=STATED,
    )
    service.work()

    assert service.states() == {
        "A@example.org": "unsubscribed", "b@example.org": "bounced", "c@example.org": "complained",
        "d@example.org": "confirmed",
    }  # fmt: skip
    report = found(service, import_id).report
    assert (report["refused"], report["overruled"]) == (4, 3)
    assert reasons(service, import_id) == {
        2: "the address is in line 3 as well, which says that it left",
        5: "the address is in line 4 as well, which says that it left",
        6: "the address is in line 7 as well, which says that it left",
        9: "the address is in line 8 already",
    }


@pytest.mark.parametrize("levels", [7, 400, 960])
def test_attributes_that_are_nested_deeply_are_refused(service: Service, levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    lines = ['{"email":"b@example.org"}', f'{{"email":"a@example.org","attributes":{deep}}}']
    import_id = started(service, "\n".join(lines))
    service.work()

    assert "nested too deeply" in reasons(service, import_id)[2]


def test_attributes_are_what_the_form_for_them_takes_as_well(service: Service) -> None:
    lines = [
        json.dumps({"email": "a@example.org", "attributes": {"x": "y" * 10_000}}),
        json.dumps({"email": "b@example.org", "attributes": {"x": "y\nz"}}),
    ]
    import_id = started(service, "\n".join(lines))
    service.work()

    assert "10000 characters" in reasons(service, import_id)[1]
    assert "line breaks" in reasons(service, import_id)[2]


def test_keys_and_cells_that_no_database_could_store_do_no_harm(service: Service) -> None:
    import_id = uploaded(
        service, b'{"email": "a@example.org", "\\ud800": "\\udfff", "n\\u0000": 1}\n{"email": "\\ud800"}'
    )
    seen = looked_at(service, import_id)
    "".join([*seen.columns, *(cell for row in seen.samples for cell in row)]).encode()

    done = imported(service, b'{"email": "a@example.org", "\\ud800": "\\udfff"}\n{"email": "\\ud800"}\n')

    assert done.state is ImportState.DONE
    assert done.report["added"] == {"pending": 1}
    assert done.report["ignored"] == {"\N{REPLACEMENT CHARACTER}": 1}


@pytest.mark.parametrize("statement", ["a\0b", "a\ud800b"])
def test_a_statement_is_a_text(service: Service, statement: str) -> None:
    with pytest.raises(ImportFault, match="statement"):
        started(service, "email\nann@example.org\n", statement=statement)


def test_a_json_array_is_refused_with_what_to_bring_instead(service: Service) -> None:
    with pytest.raises(ImportFault, match="one object a line"):
        uploaded(service, '[{"email": "ann@example.org"}]')


def test_any_bytes_are_read_or_refused_and_never_crash(on_sqlite: Service) -> None:
    chance = random.Random(8)
    alphabet = [
        b"ann@example.org",
        b",",
        b'"',
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b"x",
        b"{",
        b"}",
        b"=",
        b"email",
    ]
    for _ in range(60):
        data = b"".join(chance.choice(alphabet) for _ in range(chance.randint(1, 60)))
        try:
            done = imported(on_sqlite, data, statement=STATED)
        except ImportFault as fault:
            assert str(fault)
        else:
            assert done.state in (ImportState.DONE, ImportState.FAILED)
            assert done.state is ImportState.DONE or "fault of this service" not in (done.error or "")
