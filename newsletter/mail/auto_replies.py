"""Tells what machines answer in their owners' place, such as out of office, from what people and their mail
programs send and from what mail systems report (RFC 3834, and what came before it)."""

from __future__ import annotations

import re
from email.message import Message

from newsletter.mail.mime import field, subject_of


def is_from_mail_system(mail: Message) -> bool:
    """Whether a mail system writes, by its own name."""
    return "x-failed-recipients" in mail or bool(_POSTMASTER.search(field(mail, "from")))


def is_auto_reply(mail: Message) -> bool:
    """Whether a machine answers in its owner's place."""
    if is_from_mail_system(mail):
        return False
    submitted = field(mail, "auto-submitted").lower() or "no"
    return (
        not submitted.startswith(("no", "auto-generated"))
        or any(name in mail for name in _MARKS)
        or field(mail, "precedence").lower() in ("auto_reply", "auto-reply")
        or bool(_SUBJECT.match(subject_of(mail)))
    )


_MARKS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-reply-from",
    "x-mail-autoreply",
    "x-ms-exchange-inbox-rules-loop",
    "x-auto-response-suppress",  # Exchange sets it on its own answers, so that they cause no others
)
_POSTMASTER = re.compile(
    r"\b(?:mailer[-_. ]?daemon|post ?master|mail[-_. ](?:delivery|administrator)|system administrator"
    r"|delivery (?:sub)?system|microsoft outlook|microsoftexchange[0-9a-f]{0,40})\b",
    re.IGNORECASE,
)
# How the answers of Exchange, Gmail, GMX, Lotus and others begin: no word that people write by themselves.
_SUBJECT = re.compile(
    r"\s*(?:auto(?:matic(?:ally)?|mated)?[- ]?(?:reply|response|answer|generated reply)\b|auto:|autoreply"
    r"|out[ -]of[ -](?:the[ -])?office\b|away from (?:my|the|office|mail)|on vacation:"
    r"|vacation (?:reply|message|response)|automatische antwort|abwesenheit|abwesend:|nicht im büro"
    r"|réponse automatique|absen(?:ce|t) du bureau|respuesta autom[aá]tica|fuera de (?:la )?oficina"
    r"|resposta autom[aá]tica|risposta automatica|fuori (?:sede|ufficio)|automatisch antwoord"
    r"|afwezig|automat(?:isk|iskt) svar|autosvar|automaattinen vastaus"
    r"|odpowied[źz] automatyczna|automatick[áa] odpov[ěe][ďd]|automatikus válasz|otomatik yan[ıi]t"
    r"|автоответ|автоматический ответ"
    r"|自動(?:応答|返信)|自动(?:回复|答复)|自動回覆|자동 ?(?:회신|응답)|स्वचालित|رد تلقائي)",
    re.IGNORECASE,
)
