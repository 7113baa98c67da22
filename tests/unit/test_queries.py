"""Statements of hot paths: compiled once, and safe with whatever values come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import JSON, Column, Integer, MetaData, String, Table, create_engine, insert, select
from sqlalchemy.orm import Session

from newsletter.queries import Query, among, insert_missing

_TABLE = Table(
    "things", MetaData(), Column("id", Integer, primary_key=True), Column("word", String), Column("bag", JSON)
)
_ADD = Query(insert(_TABLE), columns=("id", "word", "bag"))
_ADD_MISSING = Query(insert_missing(_TABLE), columns=("id", "word", "bag"))
_AMONG = Query(
    select(_TABLE.c.id, _TABLE.c.word, _TABLE.c.bag)
    .where(among(_TABLE.c.word, "words"))
    .order_by(_TABLE.c.id)
)


@pytest.fixture
def session() -> Any:
    engine = create_engine("sqlite://")
    _TABLE.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=20),
    st.sets(st.integers(0, 19)),
)
def test_among_finds_exactly_the_named_values(words: list[str], chosen: set[int]) -> None:
    engine = create_engine("sqlite://")
    _TABLE.metadata.create_all(engine)
    with Session(engine) as session:
        _ADD.run(
            session, [{"id": number, "word": word, "bag": {"w": word}} for number, word in enumerate(words)]
        )
        wanted = [words[number] for number in chosen if number < len(words)]

        found = _AMONG.rows(session, words=wanted)

        assert [row.id for row in found] == [number for number, word in enumerate(words) if word in wanted]
        assert all(row.bag == {"w": row.word} for row in found)
    engine.dispose()


def test_insert_missing_leaves_what_is_there(session: Session) -> None:
    _ADD_MISSING.run(session, [{"id": 1, "word": "first", "bag": {}}])
    _ADD_MISSING.run(session, [{"id": 1, "word": "second", "bag": {}}, {"id": 2, "word": "other", "bag": {}}])

    assert [(row.id, row.word) for row in _AMONG.rows(session, words=["first", "second", "other"])] == [
        (1, "first"),
        (2, "other"),
    ]
