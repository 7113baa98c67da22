"""A sign-up as it comes in, and the verdict on it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from newsletter.domain.addresses import Address, mailbox_of
from newsletter.domain.forms import QUICKEST, FormToken
from newsletter.domain.languages import choose
from newsletter.services.counting import DatabaseStorage
from newsletter.services.evidence import Seen
from newsletter.services.guard import Answer, Attempt, Guard, Proof, Verdict
from newsletter.services.lists import ListView
from newsletter.settings import Settings


@dataclass(frozen=True)
class SignUp:
    """What a visitor sent, checked. `locale` is the language that the form asks for, `speaks` are those of
    the browser. `form`, `proof` and `pressed` show how it was sent; `trapped` says that the field was filled
    which no person sees. `verdict` is there where it was judged already."""

    slug: str
    address: Address
    name: str | None
    locale: str | None
    seen: Seen
    speaks: tuple[str, ...] = ()
    wider_network: str | None = None
    form: FormToken | None = None
    proof: Proof | None = None
    pressed: bool = False
    trapped: bool = False
    verdict: Verdict | None = None

    def language(self, mailing_list: ListView) -> str:
        """The language in which it was asked for, and will be answered."""
        return choose(self.locale, mailing_list.locale, self.speaks)


def judge_all(
    counts: DatabaseStorage,
    settings: Settings,
    now: datetime,
    sign_ups: Sequence[SignUp],
    known: dict[str, ListView],
) -> list[Verdict]:
    """The verdict on each sign-up: what was judged before, else by the counts of the database.

    A proof that was spent elsewhere is spent here, too: Redis may forget, or be away.
    """
    if settings.signup_limit is None:
        return [Verdict(Answer.TAKE)] * len(sign_ups)
    judge = Guard(settings, counts, now)
    attempts = [
        attempt(settings, sign_up, known[sign_up.slug])
        if sign_up.verdict is None and sign_up.slug in known
        else None
        for sign_up in sign_ups
    ]
    made = [tried for tried in attempts if tried is not None]
    spent = [one.proof.key for one in sign_ups if one.proof and one.verdict and one.verdict.spent]
    counts.hold({*spent, *(key for tried in made for key in judge.once_only(tried))})
    counts.load({key for tried in made for key in judge.keys(tried)})
    return [
        judge.judge(tried) if tried is not None else _judged(judge, sign_up)
        for sign_up, tried in zip(sign_ups, attempts, strict=True)
    ]


def _judged(judge: Guard, sign_up: SignUp) -> Verdict:
    """The verdict of before, unless it rests on a proof that has been used."""
    verdict = sign_up.verdict or Verdict(Answer.TAKE)
    if verdict.spent and sign_up.proof is not None and not judge.spend(sign_up.proof):
        return Verdict(Answer.STEP, QUICKEST.seconds, verdict.level)
    return verdict


def attempt(settings: Settings, sign_up: SignUp, mailing_list: ListView) -> Attempt:
    """A sign-up as the guard weighs it."""
    networks = (sign_up.seen.network or "unknown", sign_up.wider_network)
    return Attempt(
        slug=sign_up.slug,
        domain=sign_up.address.domain,
        networks=tuple(network for network in networks if network is not None),
        at_home=sign_up.seen.origin in (settings.base_url, *mailing_list.sites),
        form=sign_up.form,
        proof=sign_up.proof,
        pressed=sign_up.pressed,
        trapped=sign_up.trapped,
        mailbox=_mailbox(sign_up.address),
    )


def _mailbox(address: Address) -> str | None:
    """The mailbox behind an address that is another name of it; hashed, because it is somebody's."""
    mailbox = mailbox_of(address.identity)
    if mailbox == address.identity:
        return None
    return hashlib.sha256(mailbox.encode()).hexdigest()[:32]
