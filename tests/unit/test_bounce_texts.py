"""What refusals say: texts as providers and mail systems write them, and what they lead to."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from newsletter.domain import bounce_texts
from newsletter.domain.bounce_policy import Verdict, judge
from newsletter.domain.bounce_texts import Reason, reason_of

NOBODY_THERE = [
    "550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos. Learn more at https://support.google.com/mail/?p=NoSuchUser",
    "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
    "550 5.4.1 Recipient address rejected: Access denied. [AM0EUR02.eop.example]",
    "550 5.4.1 All recipient addresses rejected : Access denied [DB5EUR.eop.example]",
    "550 #5.1.0 Address rejected.",
    "550 5.1.0 <ann@example.org>: Address rejected, no such user",
    "554 delivery error: dd This user doesn't have a mailbox.example account (ann@mailbox.example) [-9]",
    "552 1 Requested mail action aborted, mailbox not found",
    "550 Message was not accepted -- invalid mailbox. Local mailbox ann@example.ru is unavailable: user not found",
    "550 Mailbox not found. http://help.mailbox.example/cgi-bin/help?subtype=1&&id=20022",
    "550 Requested action not taken: mailbox unavailable For explanation visit http://postmaster.mailbox.example/error-messages?ip=192.0.2.1&c=hi",
    "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]",
    "550 Invalid Recipient - https://community.filter.example/docs/DOC-1369#550 [abc]",
    "550 permanent failure for one or more recipients (ann@example.org:550 5.1.1 user unknown)",
    "550 5.1.1 sorry, no mailbox here by that name",
    "550 RCPT TO:<ann@example.org> User unknown",
    "553 5.3.0 <ann@example.org>... No such user here",
    "550 5.0.0 User ann (ann@example.org) not listed in Domino Directory",
    "550 Unrouteable address",
    "550 all relevant MX records point to non-existent hosts",
    "550 Nessun utente simile in questo indirizzo",
    "550 Benutzer existiert nicht",
    "550 Die Adresse wurde nicht gefunden",
    "550 Destinataire inconnu",
    "550 El usuario no existe",
    "550 Usuário não encontrado",
    "550 De ontvanger is onbekend",
    "550 Użytkownik nieznany",
    "550 Användaren finns inte",
    "550 Пользователь не найден",
    "550 宛先のメールアドレスが存在しません",
    "550 收件人不存在",
    "550 사용자를 찾을 수 없습니다",
    "550 5.1.6 mailbox has moved, no forwarding address",
    "556 5.1.10 <x@y.example>: Recipient address rejected: Domain y.example does not accept mail (nullMX)",
    "550 Not our Customer",
    "550 5.0.0 That recipient is not a valid user here",
]
ABOUT_US = [
    "501 HELO host unknown",
    "550 5.1.2 EHLO name: host not found",
    "550 Invalid sender domain: domain not found",
    "550 cannot find your reverse hostname, host not found",
    "550 5.1.1 Hostname 192.0.2.1 not found in DNS: unknown host",
    "550 5.1.1 mailbox unavailable. Sender address has null MX",
    "553 5.1.3 https://www.blocklist.example/query/bl?ip=192.0.2.1",
    "553 5.1.3 https://www.spamhaus.org/sbl/query/SBL1",
    "550 5.1.1 see https://support.mailbox.example/why?192.0.2.1",
    "550 5.1.1 Client host [192.0.2.1] blocked using bl.example",
    "553 5.1.3 Rejected: 192.0.2.1 listed at bl.example",
    "550 5.1.1 Your IP is on a list, see the page",
    "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]",
    "550 5.1.0 <news@news.example>: Sender address rejected: User unknown in virtual alias table",
    "550 5.1.0 sender rejected",
    "550 5.1.1 Domain of sender address news@news.example does not exist",
    "550 5.1.1 user unknown; your host 192.0.2.1 has no PTR",
    "550 Verification failed for <news@news.example> Sender verify failed",
    "550 5.1.8 Access denied, bad outbound sender",
    "550 INVALID IP FOR SENDING MAIL OF DOMAIN news.example",
    "554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@mailbox.example to clarify.) (BL)",
    "554 5.7.1 <ann@example.org>: Recipient address rejected: Access denied",
    "550 5.1.1 SPF check failed for news.example",
    "553 sorry, that domain isn't in my list of allowed rcpthosts",
    "550 relay not permitted",
    "550 5.1.1 rejected by policy",
    "550 Message rejected as spam",
    "550 5.1.1 Absender unbekannt",
    "550 Absenderadresse wurde abgelehnt",
    "550 5.1.1 Ihr Server steht auf einer Sperrliste",
    "550 5.1.1 Expéditeur inconnu",
    "550 5.1.1 Votre adresse IP est en liste noire",
    "550 El dominio del remitente no existe",
    "550 Remetente rejeitado",
    "550 Mittente sconosciuto",
    "550 Afzender geweigerd",
    "550 Nadawca nieznany",
    "550 Отправитель не существует",
    "550 5.1.1 Ваш IP в черном списке",
    "550 5.1.1 发件人域名不存在",
    "550 5.1.1 您的IP在黑名单中",
    "550 5.1.1 送信元ドメインが存在しないため拒否しました",
    "550 5.1.1 발신자 주소가 존재하지 않습니다",
]
FULL = [
    "550 5.1.1 over quota",
    "552 5.2.2 mailbox full",
    "452 4.2.2 The recipient's inbox is out of storage space",
    "550 5.1.1 The mailbox of the recipient has no space left",
    "550 5.1.1 Postfach ist voll",
    "550 5.1.1 La casilla está llena",
    "550 5.1.1 bandeja de entrada llena",
    "550 5.1.1 espaço esgotado",
    "550 5.1.1 skrzynka odbiorcy jest przepełniona",
    "550 5.1.1 postlådan är full",
    "550 5.1.1 Das Postfach des Empfängers hat sein Speicherlimit erreicht",
    "550 5.1.1 La boîte du destinataire est pleine",
    "550 5.1.1 Buzón lleno",
    "550 5.1.1 Caixa postal cheia",
    "550 5.1.1 Casella piena",
    "550 5.1.1 de mailbox zit vol",
    "550 5.1.1 Skrzynka pełna",
    "550 5.1.1 Schránka je plná",
    "550 5.1.1 Brevlådan är full",
    "550 5.1.1 Postaláda megtelt, a postafiók megtelt",
    "550 5.1.1 Posta kutusu dolu",
    "550 5.1.1 Почтовый ящик переполнен",
    "550 5.1.1 メールボックスがいっぱいです",
    "550 5.1.1 邮箱已满",
    "550 5.1.1 사서함이 가득 찼습니다",
]
MAY_PASS = [
    "554 30 Sorry, your message to ann cannot be delivered. This mailbox is disabled (554.30).",
    "550 5.2.1 The email account that you tried to reach is disabled",
    "550 5.2.1 This mailbox has been blocked due to inactivity",
    "550 5.1.1 Account inactive",
    "550 5.1.1 Refused due to recipient preferences",
    "550 5.4.1 no answer from host",
    "550 5.0.0 Connection reset by peer, user unknown",
    # Yandex has this status for everything: no alarm, and nobody is lost at once.
    "550 5.7.1 No such user!",
]
CASES = [
    *((text, Verdict.SUPPRESS_NOW) for text in NOBODY_THERE),
    *((text, Verdict.OUR_FAULT) for text in ABOUT_US),
    *((text, Verdict.COUNT) for text in (*FULL, *MAY_PASS)),
]


@pytest.mark.parametrize(("text", "verdict"), CASES, ids=[text[:60] for text, _ in CASES])
def test_b3_what_a_receiver_says_is_understood(text: str, verdict: Verdict) -> None:
    assert judge(None, text).verdict is verdict


@pytest.mark.parametrize("text", FULL)
def test_a_full_mailbox_is_one_in_any_language(text: str) -> None:
    assert reason_of(text) is Reason.MAILBOX_FULL


def test_the_table_names_reasons_and_a_source_for_every_row() -> None:
    table = tomllib.loads(Path(bounce_texts.__file__).with_suffix(".toml").read_text())
    lists = {"words", "links", "links_that_name_us"}

    assert {name.upper() for name in table if name not in lists} == {
        reason.name for reason in Reason if reason is not Reason.NOT_SAID
    }
    assert all(source for name, rows in table.items() if name != "words" for source in rows.values())


@pytest.mark.parametrize(
    "text",
    ["user " * 900, "送信元" * 1300, "https://" * 500, "no existe " * 400, "delivery can not account " * 160],
)
def test_a_text_that_is_made_to_be_slow_says_nothing_and_is_bounded(text: str) -> None:
    assert reason_of(text * 1000) in (Reason.NOT_SAID, Reason.USER_UNKNOWN)
