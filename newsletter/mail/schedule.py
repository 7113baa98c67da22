"""Which message goes next, and over how many connections: what a worker knows of those it has claimed.

Lanes: a message of a higher lane goes first; of every ten, one goes to each of the lower lanes before, so
that none waits for ever. Some connections are kept for what visitors wait for.

Domains: behind one relay, it is the recipient's domain that answers slowly. A domain gets one connection
until it has answered quickly, then as many as there are, save the reserve; one that is slow gets one again.
All that are slow share half of the connections, and what waits for them beyond a few messages is put off, so
that a worker can look behind it.

Nothing here reads a clock or a database: times are those of `time.monotonic`, given by the worker.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from newsletter.models.outbox import Lane
from newsletter.services.deliver import Claimed

SLOW = 2.0  # seconds that a recipient's answers take altogether
_MEMORY = 600.0  # seconds after which a domain is unknown again
_LONGEST = 300.0  # seconds that a message for a slow domain is put off
_PARKED = 2  # messages for a slow domain that wait here rather than in the outbox
_AHEAD = 50  # messages of a lane that wait here, ready to go
_MOST = 500  # messages of a lane that wait here, whatever for
_TURNS = (
    Lane.INTERACTIVE, Lane.INTERACTIVE, Lane.INTERACTIVE, Lane.INTERACTIVE, Lane.TRANSACTIONAL,
    Lane.INTERACTIVE, Lane.INTERACTIVE, Lane.INTERACTIVE, Lane.INTERACTIVE, Lane.BULK,
)  # fmt: skip


class _Pace(Enum):
    UNKNOWN = auto()
    QUICK = auto()
    SLOW = auto()


@dataclass
class _Domain:
    seconds: float | None = None  # that its answers took lately
    heard_at: float = 0.0
    line_ends_at: float = 0.0  # when all that was put off will have had its turn


@dataclass(frozen=True)
class _Dialogue:
    message: Claimed
    waited: Callable[[], float | None]


class Schedule:
    """Messages of one worker: those that wait here and those whose dialogue runs. `patient`: nothing is put
    off, because whoever asked wants all of it sent now."""

    def __init__(self, connections: int, *, patient: bool, chance: random.Random) -> None:
        self.connections = connections
        self._patient = patient
        self._chance = chance
        self._waiting: dict[Lane, deque[Claimed]] = {lane: deque() for lane in Lane}
        self._running: dict[UUID, _Dialogue] = {}
        self._domains: dict[str, _Domain] = {}
        self._tidied_at = 0.0
        # By domain: what waits here, what runs, and what the claim that is being made brings.
        self._parked: Counter[str] = Counter()
        self._runs: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()
        self._turn = 0

    # What waits here

    @property
    def is_empty(self) -> bool:
        return not self._running and not any(self._waiting.values())

    @property
    def running(self) -> int:
        """How many dialogues run."""
        return len(self._running)

    def ids(self) -> list[UUID]:
        """All messages that this worker has claimed."""
        return [*self._running, *(message.id for lane in self._waiting.values() for message in lane)]

    def limits(self, *, at_once: int = _AHEAD) -> dict[Lane, int]:
        """How many messages of each lane are wanted from the outbox. Those that wait for their domain do not
        count: whoever is behind them may go."""
        wanted = {}
        for lane, waiting in self._waiting.items():
            ready = sum(1 for message in waiting if self._is_ready(message.domain))
            room = min(at_once - ready, _MOST - len(waiting))
            wanted[lane] = room if ready <= at_once // 2 and room > 0 else 0
        return wanted

    def _is_ready(self, domain: str) -> bool:
        return self._pace(domain) is _Pace.QUICK or not self._runs[domain]

    def wait(self, domain: str, now: float) -> float | None:
        """Seconds for which a message of a domain is put off; None where it may wait here."""
        if self._patient or self._pace(domain) is not _Pace.SLOW:
            return None
        self._taken[domain] += 1
        if self._parked[domain] + self._taken[domain] <= _PARKED:
            return None
        return self.turn_of(domain, now)

    def turn_of(self, domain: str, now: float) -> float:
        """Seconds until one more message of a slow domain has its turn, or may as well ask again. Not all at
        the same moment: they are looked at anew then, before others."""
        known = self._known(domain, now)
        begins = max(known.line_ends_at, now + _PARKED * (known.seconds or SLOW))
        known.line_ends_at = min(begins + (known.seconds or SLOW), now + _LONGEST)
        return (known.line_ends_at - now) * self._chance.uniform(0.5, 1.0)

    def add(self, messages: list[Claimed]) -> None:
        """What was claimed, in its order. One that is here already, because its lease had ended, stays."""
        here = set(self.ids())
        for message in messages:
            if message.id not in here:
                self._waiting[message.lane].append(message)
                self._parked[message.domain] += 1
        self._taken.clear()

    def put_back(self, message: Claimed) -> None:
        """What was begun and not tried: it goes before others of its lane."""
        self._stop_running(message)
        self._waiting[message.lane].appendleft(message)
        self._parked[message.domain] += 1

    def take_out(self, *lanes: Lane) -> list[Claimed]:
        """All that waits here, or what waits in some lanes; from now on it does not."""
        taken = [message for lane in lanes or Lane for message in self._waiting[lane]]
        for lane in lanes or Lane:
            self._waiting[lane].clear()
        self._parked -= Counter(message.domain for message in taken)
        return taken

    def surplus(self, now: float) -> list[tuple[Claimed, float]]:
        """What waits here for domains that have turned out to be slow, and for how many seconds it is put
        off; from now on it does not wait here."""
        found: list[tuple[Claimed, float]] = []
        slow = {name for name, number in self._parked.items() if number > _PARKED} & {
            name for name in self._parked if self._pace(name) is _Pace.SLOW
        }
        if self._patient or not slow:
            return found
        stays: Counter[str] = Counter()
        for lane, waiting in self._waiting.items():
            self._waiting[lane] = deque()
            for message in waiting:
                stays[message.domain] += 1
                if message.domain in slow and stays[message.domain] > _PARKED:
                    found.append((message, self.turn_of(message.domain, now)))
                else:
                    self._waiting[lane].append(message)
        self._parked -= Counter(message.domain for message, _ in found)
        return found

    # What goes next

    def next(self, now: float) -> Claimed | None:
        """The message to send now, if there is one and a connection for it."""
        self._listen(now)
        if len(self._running) >= self.connections:
            return None
        favoured = _TURNS[self._turn % len(_TURNS)]
        for lane in (favoured, *(lane for lane in Lane if lane is not favoured)):
            waiting = self._waiting[lane]
            for place, message in enumerate(waiting):
                if self._may_run(message):
                    del waiting[place]
                    self._parked -= Counter([message.domain])
                    self._turn += 1
                    return message
        return None

    def begin(self, message: Claimed, waited: Callable[[], float | None]) -> None:
        """Its dialogue runs; `waited` tells how long it has waited for the recipient's answers."""
        self._running[message.id] = _Dialogue(message, waited)
        self._runs[message.domain] += 1

    def end(self, message: Claimed, waited: float | None, now: float) -> None:
        """Its dialogue has ended; None where it did not come to the recipient."""
        self._stop_running(message)
        if waited is None:
            return
        known = self._known(message.domain, now)
        known.seconds = waited if known.seconds is None else (known.seconds + waited) / 2
        known.heard_at = now

    def in_the_way(self) -> Iterable[UUID]:
        """Where a mail that a visitor waits for is held up: the dialogues that may be given up for it, the
        longest first. They are those with slow domains beyond the share of these."""
        if self._patient or not any(map(self._is_held_up, self._waiting[Lane.INTERACTIVE])):
            return []
        slow = [one for one in self._running.values() if self._pace(one.message.domain) is _Pace.SLOW]
        slow.sort(key=lambda one: one.waited() or 0.0, reverse=True)
        return [one.message.id for one in slow[: max(0, len(slow) - self._slow_share)]]

    def _is_held_up(self, message: Claimed) -> bool:
        if self._pace(message.domain) is _Pace.SLOW or self._runs[message.domain]:
            return False  # by its own domain
        return len(self._running) >= self.connections or not self._may_run(message)

    # Shares of the connections

    @property
    def _reserve(self) -> int:
        return max(1, self.connections // 4) if self.connections > 1 else 0

    @property
    def _slow_share(self) -> int:
        return max(1, self.connections // 2)

    def _may_run(self, message: Claimed) -> bool:
        most = self.connections - self._reserve
        if message.lane is not Lane.INTERACTIVE:
            others = sum(one.message.lane is not Lane.INTERACTIVE for one in self._running.values())
            if others >= most:
                return False
        pace, running = self._pace(message.domain), self._runs[message.domain]
        if pace is _Pace.QUICK:
            return running < most
        slow, unknown = self._count(_Pace.SLOW), self._count(_Pace.UNKNOWN)
        if running or slow + unknown >= max(2, most):
            return False
        return pace is _Pace.UNKNOWN or slow < self._slow_share

    def _count(self, pace: _Pace) -> int:
        return sum(self._pace(one.message.domain) is pace for one in self._running.values())

    def _stop_running(self, message: Claimed) -> None:
        if self._running.pop(message.id, None) is not None:
            self._runs -= Counter([message.domain])

    # How fast domains are

    def _pace(self, domain: str) -> _Pace:
        known = self._domains.get(domain)
        if known is None or known.seconds is None:
            return _Pace.UNKNOWN
        return _Pace.SLOW if known.seconds >= SLOW else _Pace.QUICK

    def _listen(self, now: float) -> None:
        """Learn from the dialogues that run, and forget what is long ago."""
        for one in self._running.values():
            waited = one.waited()
            if waited is not None and waited >= SLOW:
                known = self._known(one.message.domain, now)
                known.seconds = max(known.seconds or 0.0, waited)
                known.heard_at = now
        if now - self._tidied_at < _MEMORY / 10:
            return
        self._tidied_at = now
        self._domains = {
            name: known for name, known in self._domains.items() if now - known.heard_at <= _MEMORY
        }

    def _known(self, domain: str, now: float) -> _Domain:
        return self._domains.setdefault(domain, _Domain(heard_at=now))
