"""Row by row: a row of a file becomes one that can be stored, or is refused with its reason.

Every value is checked by the same rules as on the other ways in: addresses by `domain.addresses`, names as
the form does it, attributes by `domain.profiles`. Which state a row asks for is decided here; what becomes of
it, where it is stored."""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from newsletter.database import rfc3339
from newsletter.domain.addresses import AddressError
from newsletter.domain.formulas import bare
from newsletter.domain.ids import ids_in_order, milliseconds
from newsletter.domain.languages import known
from newsletter.domain.lifecycle import State
from newsletter.domain.pauses import LONGEST_PAUSE
from newsletter.domain.plain_addresses import parse_plainly
from newsletter.domain.profiles import LONGEST_NAME
from newsletter.domain.searching import search_text
from newsletter.services.importing.attributes import attributes_json, object_of
from newsletter.services.importing.history import Past, past_of
from newsletter.services.importing.moments import is_in_the_future, parse_moment
from newsletter.services.importing.options import ATTRIBUTE, Field, Options
from newsletter.services.importing.reading import Bad, Row, excerpt
from newsletter.services.importing.standing import Refused, Standing, is_subscribed, lowest
from newsletter.services.importing.state_words import NO, YES

_MAILBOX = re.compile(r'\s*"?(.*?)"?\s*<([^<>]*)>\s*')  # Ann <ann@example.org>
_RARE = frozenset({
    Field.LOCALE, Field.SOURCE, Field.ID, Field.LIST, Field.GENERATION, Field.ASKED_AT,
    Field.PERSON_CREATED_AT, Field.CONSENT, Field.SUPPRESSED, Field.PAUSED_UNTIL,
})  # fmt: skip


class Checked(NamedTuple):
    """A row as it is staged: in this order."""

    line: int
    identity: str
    address: str
    name: str | None
    search: str
    locale: str
    attributes: str
    state: str
    source: str
    created_at: str | None
    confirmed_at: str | None
    unsubscribed_at: str | None
    subscriber_id: str
    subscription_id: str
    own_id: str | None  # the id that it had where it comes from
    generation: int
    asked_at: str | None
    person_created_at: str | None
    suppressed: str | None  # why it was, where it comes from
    demoted: int  # 1: confirmed by the file, and pending because nobody states how
    paused_until: str | None
    digest: str  # by which suppressions know it, under the key of today


class Check:
    """Checks the rows of one import."""

    def __init__(
        self,
        options: Options,
        columns: Sequence[str],
        now: datetime,
        *,
        keys: Sequence[str],
        locale: str,
        slug: str | None = None,
    ) -> None:
        """`keys` are those of suppressions, the newest first. `slug` is the list whose rows are taken, where
        the file names lists."""
        self._list = slug
        self._keys = [f"newsletter.suppression.v1:{key}".encode() for key in keys]
        self._now = now
        self._locale = options.locale or locale
        self._stated = options.statement is not None
        self._all_lists = options.all_lists
        self._safe = options.safe
        self._ids = ids_in_order(now)
        places = {
            field: place for place, column in enumerate(columns) if (field := options.mapping.get(column))
        }
        self._email = places[Field.EMAIL]
        self._place = places.get
        self._attributes = [
            (field.removeprefix(ATTRIBUTE), place)
            for field, place in places.items()
            if field.startswith(ATTRIBUTE)
        ]
        brought = places.keys()
        self._has_dates = bool(brought & {Field.CREATED_AT, Field.CONFIRMED_AT, Field.UNSUBSCRIBED_AT})
        self._has_attributes = bool(self._attributes) or Field.ATTRIBUTES in brought
        # What hardly any file brings costs the others nothing.
        self._has_more = bool(brought & _RARE)
        self._named = tuple(places.get(field) for field in (Field.NAME, Field.FIRST_NAME, Field.LAST_NAME))
        self._standing = Standing(options, columns)
        self._is_ours = Field.ID in places
        others = {Field.LEFT, Field.SUBSCRIBED, Field.UNSUBSCRIBED_AT, Field.BOUNCED_AT}
        self._by_state_alone = brought.isdisjoint(others)
        # An export of this service keeps the dates of what was before; anything else beside its state counts.
        self._by_dates_before = self._is_ours and brought.isdisjoint(others - {Field.UNSUBSCRIBED_AT})
        self._has_state = Field.STATE in brought or not self._by_state_alone

    def check(self, row: Row) -> tuple[Checked, tuple[str, ...], Past | None] | Bad:
        """The row to stage, its digests under older keys, and its history where it brings one."""
        line, cells = row
        try:
            return self._check(line, cells)
        except (AddressError, Refused) as error:
            return Bad(
                line, excerpt(", ".join(str(cell) for cell in cells if cell not in (None, ""))), str(error)
            )

    def _check(self, line: int, cells: Sequence[Any]) -> tuple[Checked, tuple[str, ...], Past | None]:
        typed = cells[self._email]
        if type(typed) is not str:
            raise Refused("the email address is missing" if typed is None else "the email address is no text")
        called = None
        if typed.endswith((">", "> ")) and (mailbox := _MAILBOX.fullmatch(typed)):
            called, typed = mailbox.groups()
        address = parse_plainly(self._bare(typed.strip()))
        name = self._name(cells, called)
        created = confirmed = unsubscribed = asked = came = past = own_id = suppressed = paused = None
        generation = 1
        if self._has_dates:
            created = self._moment(cells, Field.CREATED_AT)
            confirmed = self._moment(cells, Field.CONFIRMED_AT)
            unsubscribed = self._moment(cells, Field.UNSUBSCRIBED_AT)
        state = self._state(cells, confirmed, unsubscribed) if self._has_state else None
        locale, source = self._locale, "import"
        if self._has_more:
            self._refuse_other_lists(cells)
            locale, source = self._language(cells), self._source(cells)
            own_id, suppressed = self._own_id(cells), self._suppressed(cells)
            asked, came = self._moment(cells, Field.ASKED_AT), self._moment(cells, Field.PERSON_CREATED_AT)
            generation = self._generation(cells)
            paused = self._moment(cells, Field.PAUSED_UNTIL, beyond=LONGEST_PAUSE)
            past = self._past(cells, state)
        wanted = state or State.CONFIRMED
        if wanted is State.CONFIRMED and not self._is_proof(past):
            past = None
        demoted = wanted is State.CONFIRMED and not self._stated and past is None
        if demoted:
            wanted, confirmed = State.PENDING, None
        if suppressed and not self._all_lists and wanted in (State.PENDING, State.CONFIRMED):
            raise Refused("it is suppressed, which only somebody who sees every list can bring in")
        if suppressed and past is None and wanted in (State.PENDING, State.CONFIRMED):
            # Nothing but its history brings such a subscription back as it was.
            wanted, confirmed, demoted = State.UNSUBSCRIBED, None, False
        identity = address.identity
        hashed = identity.encode()
        digest, *older = [hmac.digest(key, hashed, "sha256").hex() for key in self._keys]
        subscriber_id, subscription_id = next(self._ids), next(self._ids)
        if created is not None:
            # Ids sort by the first sign-up.
            time = f"{milliseconds(created):012x}"
            subscriber_id, subscription_id = time + subscriber_id[12:], time + subscription_id[12:]
        return (
            Checked(
                line,
                identity,
                address.text,
                name,
                search_text(address.text, name),
                locale,
                self._bag(cells) if self._has_attributes else "{}",
                wanted.value,
                source,
                rfc3339(created) if created else None,
                rfc3339(confirmed) if confirmed else None,
                rfc3339(unsubscribed) if unsubscribed else None,
                subscriber_id,
                subscription_id,
                own_id,
                generation,
                rfc3339(asked) if asked else None,
                rfc3339(came) if came else None,
                suppressed,
                int(demoted and state is State.CONFIRMED),
                rfc3339(paused) if paused and wanted is State.CONFIRMED else None,
                digest,
            ),
            tuple(older),
            past,
        )

    def _text(self, cells: Sequence[Any], field: Field) -> str:
        place = self._place(field)
        value = cells[place] if place is not None else None
        if value is None:
            return ""
        if type(value) is not str:
            raise Refused(f"the {field.replace('_', ' ')} is no text")
        return self._bare(value)

    def _bare(self, value: str) -> str:
        """A text without the apostrophe that our exports put before what looks like a formula."""
        return bare(value) if self._safe else value

    def _name(self, cells: Sequence[Any], called: str | None = None) -> str | None:
        """The name in its own cells, else the one beside the address."""
        whole, first, last = self._named
        if whole is not None:
            name = self._text(cells, Field.NAME).strip()
        elif first is None and last is None:
            if called is None:
                return None
            name = ""
        else:
            name = (
                f"{self._text(cells, Field.FIRST_NAME).strip()} {self._text(cells, Field.LAST_NAME).strip()}"
            )
            name = name.strip()
        if called and not name:
            name = self._bare(called.replace('\\"', '"').strip())
        if len(name) > LONGEST_NAME:
            raise Refused(f"the name is longer than {LONGEST_NAME} characters")
        check_line(name, "the name")
        return name or None

    def _state(
        self, cells: Sequence[Any], confirmed: datetime | None, unsubscribed: datetime | None
    ) -> State | None:
        """The state that the row names, in one way or another."""
        said = self._standing.state(self._text(cells, Field.STATE).strip())
        if self._by_state_alone or (said is not None and self._by_dates_before):
            return said
        found = self._standing.left(cells) + ([said] if said is not None else [])
        if self._moment(cells, Field.BOUNCED_AT):
            found.append(State.BOUNCED)
        if unsubscribed and (confirmed is None or confirmed <= unsubscribed):
            found.append(State.UNSUBSCRIBED)
        place = self._place(Field.SUBSCRIBED)
        # What says nothing is refused only where nothing else says who is subscribed.
        if place is not None and (not found or cells[place]) and not is_subscribed(cells[place]):
            found.append(State.UNSUBSCRIBED)
        return lowest(found)

    def _moment(
        self, cells: Sequence[Any], field: Field, *, beyond: timedelta = timedelta(0)
    ) -> datetime | None:
        place = self._place(field)
        if place is None:
            return None
        value = cells[place]
        text = str(value) if type(value) in (int, float) else self._text(cells, field).strip()
        if not text:
            return None
        moment = parse_moment(text)
        if moment is None:
            raise Refused(f"{text[:40]!r} is no date such as 2026-01-31 or 2026-01-31T08:00:00Z")
        if is_in_the_future(moment, self._now + beyond):
            raise Refused(f"{text[:40]!r} is in the future")
        return moment

    def _language(self, cells: Sequence[Any]) -> str:
        return known(self._text(cells, Field.LOCALE)) or self._locale

    def _source(self, cells: Sequence[Any]) -> str:
        source = self._text(cells, Field.SOURCE).strip()
        check_line(source, "the source")
        return source[:32] or "import"

    def _own_id(self, cells: Sequence[Any]) -> str | None:
        text = self._text(cells, Field.ID).replace("-", "").lower()
        if not text:
            return None
        if len(text) != 32 or set(text) - set("0123456789abcdef"):
            raise Refused("the id is none of this service")
        return text

    def _refuse_other_lists(self, cells: Sequence[Any]) -> None:
        named = self._text(cells, Field.LIST).strip()
        if named and self._list and named != self._list:
            raise Refused(f"it is of the list {named[:64]!r}; this import takes those of {self._list!r}")

    def _generation(self, cells: Sequence[Any]) -> int:
        place = self._place(Field.GENERATION)
        value = cells[place] if place is not None else None
        if value in (None, ""):
            return 1
        if not re.fullmatch(r"[0-9]{1,9}", str(value)):
            raise Refused("the generation is no number")
        return int(value)

    def _past(self, cells: Sequence[Any], state: State | None) -> Past | None:
        place = self._place(Field.CONSENT)
        if place is None or not cells[place]:
            return None
        past = past_of(cells[place], state, self._now)
        if isinstance(past, str):
            raise Refused(past)
        return past

    def _is_proof(self, past: Past | None) -> bool:
        """Whether a history proves the consent: nobody signed it, so somebody must answer for the file."""
        return past is not None and past.proves_consent and (self._all_lists or self._stated)

    def _suppressed(self, cells: Sequence[Any]) -> str | None:
        place = self._place(Field.SUPPRESSED)
        value = cells[place] if place is not None else None
        if value is None or str(value).strip().lower() in {"", *NO}:
            return None
        word = str(value).strip()[:32]
        check_line(word, "the word for suppressed")
        return "import" if word.lower() in YES else word

    def _bag(self, cells: Sequence[Any]) -> str:
        """The attributes, as JSON of one spelling."""
        bag: dict[str, Any] = {}
        place = self._place(Field.ATTRIBUTES)
        value = cells[place] if place is not None else None
        if type(value) is str and value.strip():
            value = object_of(self._bare(value))
        if value not in (None, ""):
            if not isinstance(value, dict):
                raise Refused("the attributes are no JSON object")
            bag.update(value)
        for key, place in self._attributes:
            value = cells[place]
            if value not in (None, ""):
                bag[key] = self._bare(value) if type(value) is str else value
        return attributes_json(bag) if bag else "{}"


def check_line(text: str, what: str) -> None:
    """Raise `Refused` where a text is not one line of characters."""
    if text.isprintable():
        return
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise Refused(f"{what} holds a line break, another control character, or bytes of another encoding")
