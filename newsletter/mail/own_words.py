"""Reads the reports of mail systems that follow no standard: finds what such a mail says of its failure, and
whether that is final. What the words mean is newsletter.domain.bounce_texts' to tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from json import JSONDecoder, dumps

from newsletter.domain.bounce_texts import Reason, reason_of
from newsletter.domain.provider_events.ses import read_reports
from newsletter.domain.provider_events.sns import Message as Notification
from newsletter.domain.returns import ReturnKind
from newsletter.mail.auto_replies import is_from_mail_system
from newsletter.mail.mime import ENCLOSED, field, groups, subject_of, text_of

_LONGEST_TEXT = 4000  # characters that are read of a report
_OPENS_BY = 600  # characters of a text within which a report says that it is one
_TEXTS = ("text/plain", "text/html")


@dataclass(frozen=True)
class Words:
    """What a mail system says of its failure to deliver; not final while it goes on trying."""

    text: str
    is_final: bool


def read_words(mail: Message, parts: list[Message]) -> Words | None:
    """What a mail says that reports a failure; None where it reports none. Only a mail system is believed, by
    its name or the mail's subject or type: people write of addresses, too."""
    subject, text = subject_of(mail), own_text(parts)
    if (of_amazon := _of_amazon(parts)) is not None:
        return of_amazon
    by_name = is_from_mail_system(mail) or not field(mail, "from") or _SUBJECT.search(subject)
    from_nobody = _NOBODY.search(field(mail, "return-path")) and _OPENING.search(text[:_OPENS_BY])
    if not (by_name or is_by_standard(mail) or from_nobody):
        return None
    opening = f"{subject} {text}"
    encloses = any(part.get_content_type() in ENCLOSED for part in parts)
    if not encloses and not _FAILED.search(opening) and reason_of(text) is Reason.NOT_SAID:
        return None
    return Words(text, is_final=not _DELAYED.search(opening) or bool(_GIVEN_UP.search(opening)))


def is_by_standard(mail: Message) -> bool:
    """Whether a mail calls itself a delivery report; what the standard wants in it may be missing."""
    return str(mail.get_param("report-type", "")).lower() == "delivery-status"


def _of_amazon(parts: list[Message]) -> Words | None:
    """A notification of Amazon SES that its topic sends by mail: the JSON that is taken by HTTP, and a text
    below it."""
    text = text_of(parts[0]).lstrip() if parts[0].get_content_type() == "text/plain" else ""
    if not (text.startswith("{") and "notificationType" in text):
        return None
    try:
        event, _ = JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return None
    reports = read_reports(Notification("", "Notification", dumps(event), ""))
    bounces = [report for report in reports if report.kind is ReturnKind.BOUNCE]
    if not bounces:
        return None
    return Words(f"{bounces[0].diagnostic or ''} ({bounces[0].status})"[:_LONGEST_TEXT], is_final=True)


def own_text(parts: list[Message]) -> str:
    """What a report says for people, on one line, up to the mail that it quotes. HTML only where there is
    nothing else."""
    plain: list[str] = []
    html: list[str] = []
    for part in parts:
        kind = part.get_content_type()
        if kind.endswith("delivery-status"):
            plain += [
                f"{field(block, 'diagnostic-code')} {field(block, 'status')}"
                for block in _without_action(part)
            ]
            continue
        if kind.startswith("multipart/") and not part.is_multipart():
            kind = "text/plain"  # a report that was not made of parts
        if kind in ENCLOSED or kind.endswith("rfc822-headers"):
            if plain or html:
                break
            continue
        if part.is_multipart() or kind not in _TEXTS:
            continue
        before, *quoted = _QUOTED.split(text_of(part).replace("\r\n", "\n"), maxsplit=1)
        (html if kind == "text/html" else plain).append(_OURS.sub("", _ACCEPTED.sub("", before)))
        if quoted:
            break
    return " ".join(" ".join(plain or html).split())[:_LONGEST_TEXT]


def _any(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE | re.MULTILINE)


def _without_action(part: Message) -> list[Message]:
    """Groups of fields that do not say what was done, as RFC 3464 wants, and so are no more than words."""
    return [block for block in groups(part) if not field(block, "action")]


# What stands in the subjects of such reports, in the languages of the systems that write them.
_SUBJECT = _any(
    r"un-?deliver|not be delivered|returned (?:e-?)?mail|returning message|failure notice",
    r"delivery (?:status|notification|failure|failed|error|problem|report)",
    r"(?:mail|message) (?:system )?(?:delivery )?(?:fail|error|return|status)",
    r"fail(?:ed|ure) (?:delivery|mail|message)",
    r"unzustellbar|nicht zustellbar|zustell\w+ (?:fehl|nicht)|non ?remis|échec|onbestelbaar",
    r"no entregad|no se ha podido|non recapitat|mancato recapito|n[ãa]o entregue|не ?доставлен",
    r"配信(?:不能|エラー)|送信エラー|退信|退回",
)
_NOBODY = _any(r"^<?(?:mailer-daemon[^>]*)?>?$")
_OPENING = _any(
    r"(?:could|can|was|did|were|is|has)(?:n't| ?not) (?:be(?:en)? )?(?:deliver|reach)",
    r"unable to deliver|undeliverable|delivery (?:to \S+ )?(?:has |have )?failed|delivery (?:error|problem)",
    r"following (?:recipients?|address)|transcript of session|did not receive",
)
_FAILED = _any(
    r"fail|fatal|error|undeliver|returned|reject|bounce|abort|\b5\d\d[ -]|\b5\.\d\.\d|zugestellt|できません",
    r"(?:not|n't|unable|cannot) (?:be )?(?:able )?(?:to )?(?:deliver|reach|send|sent)",
)
_DELAYED = _any(
    r"\bdelay|postponed|not yet (?:been )?delivered|temporary (?:failure|problem|error) report",
    r"(?:will|we'?ll) (?:be )?(?:retr|try|continue|keep)|still (?:be(?:ing)? )?tr(?:y|ied)",
    r"warning: (?:message|mail|e-?mail|delivery|could not send)|this is (?:only |just )?a warning",
    r"no action is required|do(?: not)? need to re-?send",
    r"verzöger|noch nicht zugestellt|wird weiter|retard[ée]|reintentar|задерж",
)
_GIVEN_UP = _any(
    r"giv(?:en|ing) up|permanent(?:ly)? (?:error|fail|fatal)|fail(?:ed|ure) permanently|fatal",
    r"(?:failed|aborted) after|retry time(?:out)? ex|has been returned",
)
# What was accepted in a session that is told from its beginning.
_ACCEPTED = _any(
    r"^(?:[^\w\n]{0,20}(?:ehlo|helo|starttls|auth|mail from|rcpt to|data)\b[^\n]*\n)?"
    r"(?:[^\w\n]{0,20}[23]\d\d[ -][^\n]*\n)+"
)
# What is told of our mail: its subject is made of anybody's words.
_OURS = _any(
    r"^[ \t>|]{0,20}(?:subject|betreff|objet|asunto|assunto|oggetto|onderwerp)[ \t]?:[^\n]*$",
    r"^[ \t>|]{0,20}(?:to|cc|from|date|sent)[ \t]?:[^\n]*$",
)
# Where it begins that is sent back.
_RULED = r"^[ \t>|*=_#-]{0,200}"
_QUOTED = _any(
    rf"{_RULED}(?:this is a copy|below this line|unsent message|message headers?\b|the following is)",
    rf"{_RULED}(?:(?:the )?original (?:message|mail)\b(?! was received)|returned (?:message|mail) follows)",
    rf"{_RULED}(?:included|below|enclosed|here|attach\w+) is (?:a|the|your) (?:copy|original|message)",
    rf"{_RULED}(?:(?:a )?copy of (?:the|your) message|the header of the original)",
    rf"{_RULED}(?:begin|start|beginning)(?: of)? (?:the )?(?:returned|forwarded|original)",
    rf"{_RULED}your (?:original )?message follows",
    r"^(?:received|return-path|message-id|x-received|dkim-signature|mime-version):",
)
