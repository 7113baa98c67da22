"""What providers tell of our mail: it reaches whom it is about, once, and nobody else; bad input reaches nobody."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from werkzeug.test import TestResponse

from newsletter.settings import SettingsError
from tests.integration.test_changing_address import ask
from tests.support import providers
from tests.support.providers import Sns, mailgun_signature, sns_message
from tests.support.service import Service, now
from tests.support.smtp import Received

PROVIDERS = ("ses", "postmark", "mailgun", "sendgrid")


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, make_service: Callable[..., Service]) -> Service:
    """A service on each database to which all four providers may speak."""
    return _with_providers(make_service, request.param)


@pytest.fixture
def on_sqlite(make_service: Callable[..., Service]) -> Service:
    return _with_providers(make_service, "sqlite")


def _with_providers(make_service: Callable[..., Service], kind: str) -> Service:
    service = make_service(kind, **providers.SETTINGS)
    Sns().serve(service)
    return service


def _bounce(
    service: Service, provider: str, mail: Received, address: str | None = None, **more: Any
) -> TestResponse:
    """What a provider sends when the mailbox of a mail does not exist."""
    match provider:
        case "ses":
            return providers.post_sns(service, sns_message(providers.amazon_bounce(mail, address, **more)))
        case "postmark":
            return providers.post_postmark(service, providers.postmark_bounce(mail, address, **more))
        case "mailgun":
            return providers.post_mailgun(service, providers.mailgun_failure(mail, address, **more))
        case _:
            return providers.post_sendgrid(service, [providers.sendgrid_bounce(mail, address, **more)])


def _untouched(service: Service) -> bool:
    """Whether Ann's subscription is as it was, and nobody is suppressed."""
    return service.states() == {"ann@example.org": "confirmed"} and service.counts()["suppressions"] == 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_b3_a_mailbox_that_does_not_exist_is_suppressed_at_once(service: Service, provider: str) -> None:
    mail = service.confirmed()

    response = _bounce(service, provider, mail)

    assert response.status_code == 200
    assert service.states() == {"ann@example.org": "bounced"}
    assert service.events()[-1] == "bounce"
    assert service.one("SELECT way FROM consent_events WHERE kind = 'bounce'") == provider
    assert service.rows("SELECT reason FROM suppressions") == [("bounce",)]


COMPLAINTS: dict[str, Callable[[Service, Received], TestResponse]] = {
    "ses": lambda service, mail: providers.post_sns(
        service,
        sns_message(
            {
                "eventType": "Complaint",
                "complaint": {
                    "complainedRecipients": [{"emailAddress": mail.recipient}],
                    "complaintFeedbackType": "abuse",
                    "feedbackId": "one",
                },
                "mail": {"commonHeaders": {"messageId": mail.message["Message-ID"]}},
            },
            version="1",
            Subject="Amazon SES Email Event Notification",
        ),
    ),
    "postmark": lambda service, mail: providers.post_postmark(
        service, providers.postmark_bounce(mail, RecordType="SpamComplaint", Type="SpamComplaint")
    ),
    "mailgun": lambda service, mail: providers.post_mailgun(
        service, providers.mailgun_failure(mail, event="complained")
    ),
    "sendgrid": lambda service, mail: providers.post_sendgrid(
        service, [providers.sendgrid_bounce(mail, event="spamreport")]
    ),
}


def test_b4_who_calls_it_spam_is_never_mailed_again(service: Service) -> None:
    for provider, complain in COMPLAINTS.items():
        mail = service.confirmed(f"{provider}@example.org")
        assert complain(service, mail).status_code == 200

    assert service.states() == {f"{provider}@example.org": "complained" for provider in PROVIDERS}
    assert service.rows("SELECT reason FROM suppressions") == [("complaint",)] * 4


def test_b4_who_calls_a_mail_spam_that_went_to_an_address_nobody_confirmed_gets_no_other(
    service: Service,
) -> None:
    service.confirmed("ann@example.org")
    ask(service, "bob@example.org")
    (mail,) = service.mail_to("bob@example.org")

    assert COMPLAINTS["postmark"](service, mail).status_code == 200
    assert service.states() == {"ann@example.org": "confirmed"}
    assert service.rows("SELECT reason FROM suppressions") == [("complaint",)]


def test_who_leaves_by_the_link_of_a_provider_has_left(on_sqlite: Service) -> None:
    change: dict[str, Any] = {
        "RecordType": "SubscriptionChange", "SuppressSending": True, "Origin": "Recipient",
        "SuppressionReason": "ManualSuppression", "ChangedAt": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    mails = {name: on_sqlite.confirmed(f"{name}@example.org") for name in ("ann", "bob", "carol")}

    providers.post_postmark(on_sqlite, providers.postmark_bounce(mails["ann"], **change))
    providers.post_mailgun(on_sqlite, providers.mailgun_failure(mails["bob"], event="unsubscribed"))
    providers.post_sendgrid(on_sqlite, [providers.sendgrid_bounce(mails["carol"], event="group_unsubscribe")])

    assert set(on_sqlite.states().values()) == {"unsubscribed"}
    assert on_sqlite.counts()["suppressions"] == 0


def test_b2_an_event_that_names_another_subscriber_changes_nothing(service: Service) -> None:
    service.confirmed("bob@example.org")
    mail = service.confirmed()

    for provider in PROVIDERS:
        assert _bounce(service, provider, mail, address="bob@example.org").status_code == 200

    assert service.states() == {"ann@example.org": "confirmed", "bob@example.org": "confirmed"}
    assert service.counts()["suppressions"] == 0


def test_an_event_about_a_mail_that_is_not_ours_changes_nothing(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()
    elsewhere = b"Message-ID: <abc@elsewhere.example>\r\n\r\n"
    unknown = re.sub(rb"[0-9a-f]{8}-[0-9a-f-]{27}", str(uuid4()).encode(), mail.raw)

    for raw in (elsewhere, unknown):
        for provider in PROVIDERS:
            assert _bounce(on_sqlite, provider, replace(mail, raw=raw)).status_code == 200

    assert _untouched(on_sqlite)


def test_amazon_s_event_without_headers_is_known_by_our_return_path(
    make_service: Callable[..., Service],
) -> None:
    inbound = {"NEWSLETTER_INBOUND_DOMAIN": "bounces.news.example"}
    service = make_service("sqlite", **providers.SETTINGS, **inbound)
    Sns().serve(service)
    mails = [service.confirmed(f"{name}@example.org") for name in ("ann", "bob")]
    sources = [mails[0].sender, mails[1].sender.replace("@", "a@")]

    for mail, source in zip(mails, sources, strict=True):
        event = providers.amazon_bounce(mail) | {"mail": {"source": source}}
        assert providers.post_sns(service, sns_message(event)).status_code == 200

    assert service.states() == {"ann@example.org": "bounced", "bob@example.org": "confirmed"}


def test_an_address_is_the_same_however_a_provider_writes_it(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()

    _bounce(on_sqlite, "ses", mail, address="Ann <ANN@example.org>")

    assert set(on_sqlite.states().values()) == {"bounced"}


def test_many_events_are_taken_by_one_request_and_what_is_not_ours_among_them_is_let_be(
    service: Service,
) -> None:
    mails = [service.confirmed(f"reader{number}@example.org") for number in range(5)]
    events: list[Any] = [providers.sendgrid_bounce(mail) for mail in mails[:4]]
    events += [{"event": "delivered"}, {"event": "open"}, "nonsense", None, {"event": "bounce"}]

    assert providers.post_sendgrid(service, events).status_code == 200

    assert sorted(service.states().values()) == ["bounced"] * 4 + ["confirmed"]


def test_a_replay_is_answered_200_and_changes_nothing(service: Service) -> None:
    mail = service.confirmed()
    complaint = sns_message(
        {
            "notificationType": "Complaint",
            "complaint": {"complainedRecipients": [{"emailAddress": "ann@example.org"}]},
            "mail": providers.amazon_bounce(mail)["mail"],
        }
    )
    signature, left = mailgun_signature(), providers.mailgun_failure(mail, event="unsubscribed")
    group = [providers.sendgrid_bounce(mail, event="unsubscribe")]
    providers.post_mailgun(service, left, signature)
    providers.post_sendgrid(service, group)
    service.age(days=1)
    service.confirmed()
    before = service.counts()

    assert providers.post_mailgun(service, left, signature).status_code == 200
    assert providers.post_sendgrid(service, group).status_code == 200
    assert service.states() == {"ann@example.org": "confirmed"}
    assert service.counts() == before
    for _ in range(2):
        assert providers.post_sns(service, complaint).status_code == 200
    assert service.events().count("complain") == 1


def test_a_signature_of_mailgun_is_good_for_one_event_even_where_that_was_about_nobody(
    service: Service,
) -> None:
    mail = service.confirmed()
    seen = mailgun_signature()
    providers.post_mailgun(service, {"event": "delivered", "recipient": "eve@example.org"}, seen)

    response = providers.post_mailgun(service, providers.mailgun_failure(mail, event="complained"), seen)

    assert response.status_code == 200
    assert _untouched(service)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("5.7.1", "550 5.7.1 blocked by policy"),
        ("5.1.1", "550 5.1.1 HELO host unknown"),
        ("5.1.3", "553 https://www.blocklist.example/query/bl?ip=192.0.2.1"),
    ],
)
def test_sender_side_faults_suppress_nobody(on_sqlite: Service, status: str, reason: str) -> None:
    mail = on_sqlite.confirmed()

    _bounce(on_sqlite, "sendgrid", mail, status=status, reason=reason, type="blocked")

    assert _untouched(on_sqlite)
    assert on_sqlite.one("SELECT number FROM alarms") == 1


# Who is not proved to be the provider


def _forged(service: Service, mail: Received) -> dict[str, Callable[[], TestResponse]]:
    bounce = json.dumps([providers.sendgrid_bounce(mail)]).encode()
    amazon = providers.amazon_bounce(mail)
    event = providers.mailgun_failure(mail)
    return {
        "SNS: another key": lambda: providers.post_sns(
            service, sns_message(amazon, key=providers.somebody_s_key())
        ),
        "SNS: altered": lambda: providers.post_sns(
            service, sns_message("{}") | {"Message": json.dumps(amazon)}
        ),
        "SNS: a subject that was not signed": lambda: providers.post_sns(
            service, sns_message(amazon) | {"Subject": "x"}
        ),
        "SNS: SHA-256 called SHA-1": lambda: providers.post_sns(
            service, sns_message(amazon) | {"SignatureVersion": "1"}
        ),
        "SNS: another version": lambda: providers.post_sns(
            service, sns_message(amazon, SignatureVersion="3")
        ),
        "SNS: no signature": lambda: providers.post_sns(service, sns_message(amazon) | {"Signature": ""}),
        "SNS: no base64": lambda: providers.post_sns(service, sns_message(amazon) | {"Signature": "?"}),
        "SNS: another topic": lambda: providers.post_sns(
            service, sns_message(amazon, TopicArn=providers.TOPIC + "2")
        ),
        "SNS: of yesterday": lambda: providers.post_sns(
            service, sns_message(amazon, at=now() - timedelta(hours=3))
        ),
        "SNS: of tomorrow": lambda: providers.post_sns(
            service, sns_message(amazon, at=now() + timedelta(hours=1))
        ),
        "SNS: of no time": lambda: providers.post_sns(service, sns_message(amazon, Timestamp="soon")),
        "SNS: of no time zone": lambda: providers.post_sns(
            service, sns_message(amazon, Timestamp="2026-01-01T00:00:00")
        ),
        "SNS: another type": lambda: providers.post_sns(service, sns_message(amazon, Type="Bounce")),
        "SNS: half a character": lambda: providers.post_sns(
            service, json.dumps(sns_message(amazon)).replace("Notif", "\\ud800").encode()
        ),
        "Postmark: no password": lambda: providers.post_postmark(
            service, providers.postmark_bounce(mail), None
        ),
        "Postmark: another password": lambda: providers.post_postmark(
            service, providers.postmark_bounce(mail), "postmark:a-long-password-2"
        ),
        "Postmark: colons": lambda: providers.post_postmark(service, providers.postmark_bounce(mail), ":::"),
        "Mailgun: another key": lambda: providers.post_mailgun(
            service, event, mailgun_signature(key="k" * 32)
        ),
        "Mailgun: another token": lambda: providers.post_mailgun(
            service, event, mailgun_signature() | {"token": "a" * 50}
        ),
        "Mailgun: expired": lambda: providers.post_mailgun(
            service, event, mailgun_signature(at=now() - timedelta(hours=11))
        ),
        "Mailgun: of tomorrow": lambda: providers.post_mailgun(
            service, event, mailgun_signature(at=now() + timedelta(hours=1))
        ),
        "Mailgun: nothing": lambda: providers.post_mailgun(service, event, {"token": ""}),
        "Mailgun: not ASCII": lambda: providers.post_mailgun(
            service, event, mailgun_signature() | {"signature": "ä\ud800"}
        ),
        "SendGrid: another key": lambda: providers.post_sendgrid(
            service, bounce, key=generate_private_key(SECP256R1())
        ),
        "SendGrid: altered": lambda: providers.post_sendgrid(service, bounce, signed=b"[]"),
        "SendGrid: expired": lambda: providers.post_sendgrid(service, bounce, at=now() - timedelta(hours=26)),
        "SendGrid: no headers": lambda: service.client.post("/events/sendgrid", data=bounce),
    }


def test_what_is_forged_altered_or_expired_is_refused_and_changes_nothing(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()

    for name, send in _forged(on_sqlite, mail).items():
        response = send()
        assert response.status_code == 403, name
        assert json.loads(response.data)["code"] == "not_proved"
    assert _untouched(on_sqlite)


LOOK_ALIKES = {
    "another host": "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem",
    "another name before it": "https://evil-sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
    "a bucket": "https://sns.eu-west-1.s3.amazonaws.com/SimpleNotificationService-1.pem",
    "another service": "https://s3.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
    "another region": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
    "the Chinese domain": "https://sns.eu-west-1.amazonaws.com.cn/SimpleNotificationService-1.pem",
    "a user": "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-1.pem",
    "a password": "https://sns.eu-west-1.amazonaws.com:x@evil.example/SimpleNotificationService-1.pem",
    "a port": "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-1.pem",
    "not encrypted": "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
    "another scheme": "file:///etc/SimpleNotificationService-1.pem",
    "another path": "https://sns.eu-west-1.amazonaws.com/evil/SimpleNotificationService-1.pem",
    "up and down": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem/../x.pem",
    "no certificate": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.txt",
    "a query": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem?x=1",
    "a fragment": "https://evil.example#@sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
    "a backslash": "https://evil.example\\@sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
    "a line break": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem\n",
    "a dot for any letter": "https://snsxeu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
    "letters that look alike": "https://sns.eu-west-1.аmazonaws.com/SimpleNotificationService-1.pem",
    "capitals": "HTTPS://SNS.EU-WEST-1.AMAZONAWS.COM/SimpleNotificationService-1.pem",
    "this machine": "https://127.0.0.1/SimpleNotificationService-1.pem",
    "nothing": "",
}


def test_nothing_is_fetched_from_hosts_that_look_like_amazon(on_sqlite: Service) -> None:
    sns = Sns().serve(on_sqlite)
    mail = on_sqlite.confirmed()

    for name, url in LOOK_ALIKES.items():
        message = sns_message(providers.amazon_bounce(mail), SigningCertURL=url)
        assert providers.post_sns(on_sqlite, message).status_code == 403, name

    assert sns.fetched == []
    assert _untouched(on_sqlite)


def test_nothing_is_fetched_for_another_topic_or_an_old_message(on_sqlite: Service) -> None:
    sns = Sns().serve(on_sqlite)

    providers.post_sns(on_sqlite, sns_message(TopicArn="arn:aws:sns:eu-west-1:999999999999:newsletter"))
    providers.post_sns(on_sqlite, sns_message(at=now() - timedelta(days=1)))

    assert sns.fetched == []


BAD_CERTIFICATES: dict[str, Callable[[], bytes]] = {
    "another key": lambda: providers.certificate(providers.somebody_s_key()),
    "no RSA": lambda: providers.certificate(providers.sendgrid_key()),
    "expired": lambda: providers.certificate(days_ago=40),
    "not yet valid": lambda: providers.certificate(days_ago=-2),
    "no certificate": lambda: b"-----BEGIN CERTIFICATE-----\n",
}


def test_a_certificate_that_proves_nothing_is_refused(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()

    for name, made in BAD_CERTIFICATES.items():
        Sns(certificates={providers.CERTIFICATE_URL: made()}).serve(on_sqlite)
        assert _bounce(on_sqlite, "ses", mail).status_code == 403, name

    assert _untouched(on_sqlite)


def test_a_certificate_is_fetched_once_and_while_amazon_is_away_the_message_may_come_again(
    on_sqlite: Service,
) -> None:
    sns = Sns(away=True).serve(on_sqlite)
    mail = on_sqlite.confirmed()
    message = sns_message(providers.amazon_bounce(mail))

    away = providers.post_sns(on_sqlite, message)
    sns.away = False
    first, again = (providers.post_sns(on_sqlite, message) for _ in range(2))

    assert (away.status_code, first.status_code, again.status_code) == (503, 200, 200)
    assert away.headers["Retry-After"]
    assert sns.fetched == [providers.CERTIFICATE_URL] * 2
    assert on_sqlite.states() == {"ann@example.org": "bounced"}


def test_nobody_can_have_us_ask_amazon_for_certificates_without_end(on_sqlite: Service) -> None:
    sns = Sns().serve(on_sqlite)

    for number in range(30):
        url = f"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{number}.pem"
        assert providers.post_sns(on_sqlite, sns_message(SigningCertURL=url)).status_code == 503

    assert len(sns.fetched) == 10


# Subscribing to the topic


def _confirmation(**fields: str) -> dict[str, str]:
    more: dict[str, Any] = {
        "Type": "SubscriptionConfirmation",
        "Token": "2336412f37",
        "SubscribeURL": providers.SUBSCRIBE_URL,
    }
    return sns_message("You have chosen to subscribe.", **more | fields)


def test_a_subscription_to_our_topic_is_confirmed(on_sqlite: Service) -> None:
    sns = Sns().serve(on_sqlite)

    assert providers.post_sns(on_sqlite, _confirmation()).status_code == 200
    assert sns.fetched == [providers.CERTIFICATE_URL, providers.SUBSCRIBE_URL]


SUBSCRIPTIONS = {
    "another topic": {"TopicArn": "arn:aws:sns:eu-west-1:999999999999:newsletter"},
    "another host": {"SubscribeURL": providers.SUBSCRIBE_URL.replace(".com/", ".com.evil.example/")},
    "another action": {"SubscribeURL": providers.SUBSCRIBE_URL.replace("ConfirmSub", "DeleteSub")},
    "this machine": {"SubscribeURL": "http://127.0.0.1/?Action=ConfirmSubscription&x"},
    "no address": {"SubscribeURL": ""},
}


def test_no_other_subscription_is(on_sqlite: Service) -> None:
    sns = Sns().serve(on_sqlite)

    for name, fields in SUBSCRIPTIONS.items():
        assert providers.post_sns(on_sqlite, _confirmation(**fields)).status_code == 403, name

    assert sns.fetched == [providers.CERTIFICATE_URL]


def test_an_altered_confirmation_leads_nowhere(on_sqlite: Service) -> None:
    sns = Sns().serve(on_sqlite)
    altered = _confirmation() | {"SubscribeURL": providers.SUBSCRIBE_URL + "0"}

    assert providers.post_sns(on_sqlite, altered).status_code == 403
    assert sns.fetched == [providers.CERTIFICATE_URL]


def test_the_end_of_a_subscription_and_a_greeting_are_heard(on_sqlite: Service) -> None:
    ended = _confirmation(Type="UnsubscribeConfirmation")
    greeting = sns_message("Successfully validated SNS topic for Amazon SES event publishing.")

    assert [providers.post_sns(on_sqlite, message).status_code for message in (ended, greeting)] == [200, 200]


# Bodies that no provider sends


BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "a number": b"1",
    "a text": b'"x"',
    "not UTF-8": b'{"a": "\xff"}',
    "a thousand times a thousand deep": b"[" * 1_000_000,
}


def test_a13_a_malformed_body_is_400(on_sqlite: Service) -> None:
    for name, body in BODIES.items():
        answers = [
            providers.post_sns(on_sqlite, body),
            providers.post_postmark(on_sqlite, body),
            on_sqlite.client.post("/events/mailgun", data=body, content_type="application/json"),
            providers.post_sendgrid(on_sqlite, body),
        ]
        assert [answer.status_code for answer in answers] == [400] * 4, name
        assert {answer.content_type for answer in answers} == {"application/problem+json"}


def test_a13_an_oversized_body_is_413(on_sqlite: Service) -> None:
    credentials = tuple(providers.POSTMARK.split(":"))

    for provider in PROVIDERS:
        body = b"[" * (1024 * 1024 + 1)
        response = on_sqlite.client.post(f"/events/{provider}", data=body, auth=credentials)
        assert response.status_code == 413, provider


def test_more_events_than_a_provider_sends_are_413(on_sqlite: Service) -> None:
    assert providers.post_sendgrid(on_sqlite, [{}] * 5000).status_code == 200
    assert providers.post_sendgrid(on_sqlite, [{}] * 5001).status_code == 413


ODD: dict[str, dict[str, Any]] = {
    "fields of another type": {"Details": 7, "Type": "HardBounce", "ID": ["x"]},
    "NUL and half characters": {"Details": "550 5.2.2 \0\ud800 quota\r\nX: y", "ID": "\0\ud800"},
    "a long story": {"Details": "x" * 100_000},
    "metadata that is a list": {"Metadata": [1]},
    "an address with line breaks": {"Email": "ann@example.org\r\nBcc: x@y.example"},
    "no address": {"Email": None},
    "huge numbers": {"ID": 10**400},
}


def test_a15_odd_values_harm_nobody(service: Service) -> None:
    mail = service.confirmed()

    for name, odd in ODD.items():
        response = providers.post_postmark(service, providers.postmark_bounce(mail) | odd)
        assert response.status_code == 200, name

    assert service.client.get("/").status_code == 200


def test_while_the_database_is_away_the_provider_is_asked_to_try_again(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()
    signature, event = mailgun_signature(), providers.mailgun_failure(mail)
    on_sqlite.close()
    database = on_sqlite.settings.data_dir / "newsletter.sqlite3"
    aside = database.rename(database.with_suffix(".aside"))
    database.mkdir()

    away = providers.post_mailgun(on_sqlite, event, signature)
    database.rmdir()
    aside.rename(database)
    again = providers.post_mailgun(on_sqlite, event, signature)

    assert (away.status_code, again.status_code) == (503, 200)
    assert on_sqlite.states() == {"ann@example.org": "bounced"}


# Doors


def test_a_door_exists_only_once_its_provider_is_set(make_service: Callable[..., Service]) -> None:
    service = make_service("sqlite", NEWSLETTER_MAILGUN_SIGNING_KEY=providers.MAILGUN_KEY)

    statuses = {name: service.client.post(f"/events/{name}").status_code for name in PROVIDERS}

    assert statuses == {"ses": 404, "postmark": 404, "mailgun": 400, "sendgrid": 404}
    assert service.client.get("/events/mailgun").status_code == 405


def test_a_mail_carries_a_header_for_the_providers_that_are_set_alone(
    make_service: Callable[..., Service],
) -> None:
    plain = make_service("sqlite").confirmed()
    told = make_service("sqlite", **providers.SETTINGS).confirmed("bob@example.org")

    names = {"X-PM-Metadata-newsletter-mail", "X-Mailgun-Variables", "X-SMTPAPI"}
    assert names.isdisjoint(plain.message.keys())
    assert names <= set(told.message.keys())
    assert b'\r\nX-Mailgun-Variables: {"newsletter-mail": "' in told.headers  # not folded
    own = told.message["Message-ID"].strip("<>").partition("@")[0]
    assert told.message["X-PM-Metadata-newsletter-mail"] == own
    assert json.loads(told.message["X-SMTPAPI"]) == {"unique_args": {"newsletter-mail": own}}
    assert b"bob" not in b"".join(line for line in told.headers.splitlines() if line.startswith(b"X-"))


def test_a_key_that_only_looks_like_one_stops_the_start(make_service: Callable[..., Service]) -> None:
    key = bytearray(base64.b64decode(providers.SETTINGS["NEWSLETTER_SENDGRID_PUBLIC_KEY"]))
    key[-64:] = b"\1" * 64  # no point of the curve

    with pytest.raises(SettingsError, match="NEWSLETTER_SENDGRID_PUBLIC_KEY is no public key"):
        make_service("sqlite", NEWSLETTER_SENDGRID_PUBLIC_KEY=base64.b64encode(key).decode())
