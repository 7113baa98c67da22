"""The rules that need more than a mail or a link: the order of things, and what is written down of them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from newsletter.conformance import clients
from newsletter.conformance.mail import Mail
from newsletter.conformance.place import press
from newsletter.conformance.rules import Rules
from newsletter.conformance.stage import Stage

whole: Rules[Stage] = Rules("The whole")

_WEBMAIL = "https://mail.example.com"


@whole.rule("who leaves before their mail is sent gets none", "U12")
def leaves_before_the_mail(stage: Stage) -> Iterator[str]:
    address = stage.sign_up()
    reader = stage.registered(address)
    press(stage, reader.leave, clients.GMAIL)
    stage.send_mail()
    if found := stage.mails_to(address):
        yield f"{len(found)} came"


@whole.rule("Outlook, Apple Mail: a mail to the mailto unsubscribes", "U1", "RFC 2369 §3.2")
def by_mail(stage: Stage) -> Iterator[str]:
    reader = stage.reader()
    stage.leave_by_mail(reader)
    if (state := stage.state(reader)) != "unsubscribed":
        yield f"the subscription is still {state}"


@whole.rule("no mail carries a dead link", "U18")
def no_dead_link(stage: Stage) -> Iterator[str]:
    for name, mail in stage.samples().items():
        for link in _links(mail):
            reply = stage.asker.ask("GET", _target(link))
            if reply.status != 200:
                yield f"{name}: /{_target(link).split('/')[1]}/… is answered {reply.status}"


@whole.rule("opening every link of a mail changes nothing, whatever opens it", "U5 D7", "RFC 9110 §9.2.1")
def every_link_opened(stage: Stage) -> Iterator[str]:
    mails = {"the confirmation of somebody new": stage.mails_to(stage.reader().address)[0]} | stage.samples()
    for name, mail in mails.items():
        for link in _links(mail):
            for method in ("HEAD", "GET", "OPTIONS"):
                before = stage.stored()
                stage.asker.ask(method, _target(link))
                if stage.stored() != before:
                    yield f"{name}: {method} of /{_target(link).split('/')[1]}/… changed what is stored"
                    break


@whole.rule("every mail's own link takes one click, from webmail too", "U3 U17", "RFC 8058 §3.2")
def every_one_click(stage: Stage) -> Iterator[str]:
    samples = stage.samples()
    for name, mail in samples.items():
        reply = press(stage, _target(mail.unsubscribe_url or ""), clients.GMAIL, Origin=_WEBMAIL)
        if reply.status != 200:
            yield f"{name}: it is answered {reply.status}"
        if reply.header("Access-Control-Allow-Origin") != "*":
            yield f"{name}: a webmail's script may not read the answer"
    change = samples.get("the change of address")
    if change is not None and (link := change.door("new-address")) is not None:
        button = _target(link).removesuffix("/stop")
        if press(stage, button, clients.BROWSER).status == 200:
            yield "the change of address: it was made after one click had stopped it"


@whole.rule("no log holds a token or an address", "U15 A16")
def nothing_in_the_log(stage: Stage) -> Iterator[str]:
    log = stage.log()
    for reader in stage.readers:
        if reader.address in log:
            yield "an address stands in it"
        if any(path.rpartition("/")[2] in log for path in (reader.leave, reader.confirm)):
            yield "a token stands in it"


def _links(mail: Mail) -> list[str]:
    """All links of a mail that lead to this service."""
    found = {*mail.links("plain"), *mail.links("html"), mail.unsubscribe_url or ""}
    return sorted(link for link in found if link.startswith(f"{mail.expected.base_url}/"))


def _target(link: str) -> str:
    parts = urlsplit(link)
    return parts.path + (f"?{parts.query}" if parts.query else "")
