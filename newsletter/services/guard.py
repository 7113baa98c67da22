"""Who is let in at once, who is asked for one more step, and who must wait (checklist A1 to A6, E2, E4).

What is weighed here is where a sign-up comes from, how it was sent, and how many others there are; never
what is known of its address. Counts go into a storage of the `limits` library: the database, inside the
transaction of the sign-ups themselves, or Redis.

A surge of sign-ups over all lists, or for one receiving domain, blows a fuse: everybody is then asked for
one more step, which takes twice the work whenever the surge has doubled. Attempts are counted, whether they
were let in or not, so an attack that goes on keeps the fuse blown, and it mends when the attack ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from math import ceil, log2

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import Storage

from newsletter.domain.forms import FORM_LIFE, QUICKEST, FormToken
from newsletter.domain.typos import PROVIDERS
from newsletter.services.counting import DatabaseStorage
from newsletter.settings import Limit, Settings

HIGHEST_LEVEL = 4
# As multiples of NEWSLETTER_SIGNUP_LIMIT.
_WIDER = 3  # an IPv6 /48
_UNKNOWN_SITES = 5  # all that come to one list from sites it does not name, or without a fresh form
_REFUSED = 5  # from there on even the further step does not help a network
_USES_OF_A_FORM = 10
# As parts of NEWSLETTER_SURGE_LIMIT.
_ONE_MAILBOX = Limit(10, 86400)  # sign-ups of one mailbox under other names than its own: tags, dots
_ONE_DOMAIN = 3  # no mail provider of millions, yet a third of all sign-ups
_PRESSED = 4  # let in by a mere button during a surge


class Answer(Enum):
    """What is said to a sign-up."""

    TAKE = "take"
    STEP = "step"  # one more step, then it is taken
    WAIT = "wait"


@dataclass(frozen=True)
class Verdict:
    """The answer; in how many `seconds` it would be another by itself; how high the surge is (0 is calm);
    whether a pressed button would do as the further step; and whether a proof was spent for it."""

    answer: Answer
    seconds: int = 0
    level: int = 0
    may_press: bool = True
    spent: bool = False


@dataclass(frozen=True)
class Proof:
    """A solved challenge: what tells it from others, for which level of surge it was made, and for how long
    it is good. `asked` says that it was asked of a sign-up, which was counted then."""

    id: str
    level: int
    seconds: int
    asked: bool = False

    @property
    def key(self) -> str:
        """The count of its uses."""
        return _spent(self).key_for(self.id)


@dataclass(frozen=True)
class Attempt:
    """One sign-up, as far as it is weighed. `networks` are the nearest and, where known, the wider one."""

    slug: str
    domain: str
    networks: tuple[str, ...]
    at_home: bool  # sent from one of the list's own sites
    form: FormToken | None
    proof: Proof | None
    pressed: bool
    trapped: bool = False  # a field was filled that no person sees
    mailbox: str | None = None  # where it is written to under another name than its own

    @property
    def goes_on(self) -> bool:
        """Whether it is the further step of a sign-up that was counted already."""
        return self.pressed or (self.proof is not None and self.proof.asked)


@dataclass(frozen=True)
class Surge:
    """How many sign-ups are tried in a stretch of time, how many are usual, and what follows: the level of
    the surge, where 0 is calm."""

    demand: float
    limit: int
    level: int


class Guard:
    """Weighs sign-ups, one after the other, by the counts in `storage`."""

    def __init__(self, settings: Settings, storage: Storage, now: datetime) -> None:
        assert settings.signup_limit is not None
        self._storage = storage
        self._limit = settings.signup_limit
        self._surge = settings.surge_limit
        self._now = now.timestamp()

    def keys(self, attempt: Attempt) -> set[str]:
        """The counts that weighing it will ask for."""
        near, wider = attempt.networks[:1], attempt.networks[1:]
        keys = {self._network().key_for(*near), self._list().key_for(attempt.slug)}
        keys |= {self._wider().key_for(*wider)} if wider else set()
        keys |= {key for item in self._fuses(attempt.domain) for key in self._windows(item)}
        keys |= {self._pressed().key_for(*near), self._pressed_in_all().key_for()}
        if attempt.form is not None:
            keys.add(_uses().key_for(attempt.form.id))
        if attempt.mailbox is not None:
            keys.add(_mailbox().key_for(attempt.mailbox))
        return keys | self.once_only(attempt)

    def once_only(self, attempt: Attempt) -> set[str]:
        """Those among them that no two may count at the same time."""
        return {attempt.proof.key} if attempt.proof is not None else set()

    def judge(self, attempt: Attempt) -> Verdict:
        """Count the attempt and say what becomes of it. What fell into the trap is asked for a step: it may
        be a form filler's doing, and somebody's only try (docs/adr/0008)."""
        near, wider = attempt.networks[:1], attempt.networks[1:]
        counted = [(self._network(), near)]
        if wider:
            counted.append((self._wider(), wider))
        if not (self._is_fresh(attempt.form) and attempt.at_home):
            counted.append((self._list(), (attempt.slug,)))
        bounded = counted[: len(attempt.networks)]
        if attempt.mailbox is not None:
            counted.append((_mailbox(), (attempt.mailbox,)))
            bounded.append(counted[-1])
        hits = [(item, names, self._hit(item, *names)) for item, names in counted]
        weigh = self._look if attempt.goes_on else self._count
        level = max(weigh(item) for item in self._fuses(attempt.domain))

        beyond = [
            (item, names)
            for item, names, number in hits
            if (item, names) in bounded and number > _REFUSED * item.amount
        ]
        if beyond:
            return Verdict(Answer.WAIT, self._seconds(beyond), level)
        over = [(item, names) for item, names, number in hits if number > item.amount]
        too_fast = attempt.form is not None and attempt.form.too_fast
        if not (over or too_fast or attempt.trapped or level):
            return Verdict(Answer.TAKE, level=level)
        if self._solved(attempt.proof, level):
            return Verdict(Answer.TAKE, level=level, spent=True)
        if attempt.pressed and self._press(near, level):
            return Verdict(Answer.TAKE, level=level)
        seconds = self._seconds(over) if over else self._left(self._surge) if level else QUICKEST.seconds
        return Verdict(Answer.STEP, seconds, level, self._may_press(near, level))

    def surge(self) -> Surge:
        """How it stands with all lists now."""
        item = self._all()
        demand = self._demand_now(item)
        return Surge(demand, item.amount, _level(demand, item))

    def surge_keys(self) -> list[str]:
        """The counts that `surge` asks for."""
        return list(self._windows(self._all()))

    def _is_fresh(self, form: FormToken | None) -> bool:
        """A form that is sent again and again is a script's."""
        return form is not None and self._hit(_uses(), form.id) <= _USES_OF_A_FORM

    def _solved(self, proof: Proof | None, level: int) -> bool:
        """Whether a proof is worth what is asked now, and was not used before. Who began before the surge
        grew by one step is not asked again."""
        if proof is None or proof.level < level - 1:
            return False
        return self.spend(proof)

    def spend(self, proof: Proof) -> bool:
        """Use a proof; whether this was the first time."""
        return self._hit(_spent(proof), proof.id) == 1

    def _press(self, near: Sequence[str], level: int) -> bool:
        """Count a pressed button. It costs a machine nothing, so during a surge few are let in by it."""
        if not self._may_press(near, level):
            return False
        self._hit(self._pressed(), *near)
        if level:
            self._hit(self._pressed_in_all())
        return True

    def _may_press(self, near: Sequence[str], level: int) -> bool:
        here, in_all = self._pressed(), self._pressed_in_all()
        if self._storage.get(here.key_for(*near)) >= here.amount:
            return False
        return not level or self._storage.get(in_all.key_for()) < in_all.amount

    def _hit(self, item: RateLimitItem, *names: str) -> int:
        return self._storage.incr(item.key_for(*names), item.get_expiry())

    def _count(self, item: RateLimitItem) -> int:
        """Count one attempt for a fuse; returns its level."""
        hits = self._storage.incr(self._windows(item)[1], 2 * item.get_expiry())
        return _level(self._demand(item, hits), item)

    def _look(self, item: RateLimitItem) -> int:
        """The level of a fuse. The further step of a sign-up is no attempt of its own: where it counted, a
        surge would be kept up by the very readers who are asked for it."""
        return _level(self._demand_now(item), item)

    def _demand_now(self, item: RateLimitItem) -> float:
        return self._demand(item, self._storage.get(self._windows(item)[1]))

    def _demand(self, item: RateLimitItem, hits: int) -> float:
        """How many attempts a stretch of time that ends now holds: those since the present one began, and the
        part of the one before that it still covers."""
        weight = 1 - self._now % item.get_expiry() / item.get_expiry()
        return hits + weight * self._storage.get(self._windows(item)[0])

    def _windows(self, item: RateLimitItem) -> tuple[str, str]:
        number = int(self._now // item.get_expiry())
        return item.key_for(str(number - 1)), item.key_for(str(number))

    def _fuses(self, domain: str) -> list[RateLimitItem]:
        if domain in PROVIDERS:
            return [self._all()]
        # Hashed: it may be somebody's name.
        hashed = hashlib.sha256(domain.encode()).hexdigest()[:16]
        return [self._all(), _item(self._surge, f"domain-{hashed}", share=_ONE_DOMAIN)]

    def _seconds(self, over: Sequence[tuple[RateLimitItem, Sequence[str]]]) -> int:
        ends = max(self._storage.get_expiry(item.key_for(*names)) for item, names in over)
        return min(max(1, ceil(ends - self._now)), self._limit.seconds)

    def _left(self, limit: Limit) -> int:
        return max(1, ceil(limit.seconds - self._now % limit.seconds))

    def _network(self) -> RateLimitItem:
        return _item(self._limit, "network")

    def _wider(self) -> RateLimitItem:
        return _item(self._limit, "wider", times=_WIDER)

    def _list(self) -> RateLimitItem:
        return _item(self._limit, "list", times=_UNKNOWN_SITES)

    def _pressed(self) -> RateLimitItem:
        return _item(self._limit, "pressed")

    def _pressed_in_all(self) -> RateLimitItem:
        return _item(self._surge, "pressed-in-all", share=_PRESSED)

    def _all(self) -> RateLimitItem:
        return _item(self._surge, "all")


def _level(demand: float, item: RateLimitItem) -> int:
    return min(HIGHEST_LEVEL, 1 + int(log2(demand / item.amount))) if demand > item.amount else 0


def _item(limit: Limit, name: str, *, times: int = 1, share: int = 1) -> RateLimitItem:
    return RateLimitItemPerSecond(max(1, limit.amount * times // share), limit.seconds, namespace=name)


def _mailbox() -> RateLimitItem:
    return _item(_ONE_MAILBOX, "mailbox")


def _uses() -> RateLimitItem:
    return RateLimitItemPerSecond(_USES_OF_A_FORM, int(FORM_LIFE.total_seconds()), namespace="form")


def _spent(proof: Proof) -> RateLimitItem:
    return RateLimitItemPerSecond(1, proof.seconds, namespace="proof")


def wait(
    counts: DatabaseStorage, limit: Limit | None, what: str, now: datetime, networks: Sequence[str | None]
) -> list[int | None]:
    """Count one request for `what` of each network; how many seconds it must wait, None for not at all.
    Counted without a limit, too."""
    item = _item(limit or Limit(1, 86400), what)
    keys = [item.key_for(network or "unknown") for network in networks]
    counts.load(keys)
    waits: list[int | None] = []
    for key in keys:
        is_over = counts.incr(key, item.get_expiry()) > item.amount and limit is not None
        waits.append(max(1, ceil(counts.get_expiry(key) - now.timestamp())) if is_over else None)
    return waits
