"""Providers of mail, as far as they tell what became of it: they sign with keys of our own, in the way that each
documents, and know of a mail what a provider that has carried it knows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from werkzeug.test import TestResponse

from newsletter.web.events.amazon import Amazon, Unreachable
from tests.support.service import Service
from tests.support.smtp import Received

TOPIC = "arn:aws:sns:eu-west-1:123456789012:newsletter"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
SUBSCRIBE_URL = (
    "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"
    "&TopicArn=arn:aws:sns:eu-west-1:123456789012:newsletter&Token=2336412f37"
)
POSTMARK = "postmark:a-long-password-1"
MAILGUN_KEY = "0123456789abcdef0123456789abcdef"


@cache
def sendgrid_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def amazon_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def somebody_s_key() -> rsa.RSAPrivateKey:
    """A key that is not Amazon's."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_text(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """A public key as SendGrid shows it."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None, *, days_ago: int = 0
) -> bytes:
    """A certificate of Amazon's, as if it had been made some days ago for a month."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begins = datetime.now(UTC) - timedelta(days=days_ago, minutes=1)
    key = key or amazon_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=30))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


SETTINGS = {
    "NEWSLETTER_SES_TOPIC_ARN": TOPIC,
    "NEWSLETTER_POSTMARK_WEBHOOK": POSTMARK,
    "NEWSLETTER_MAILGUN_SIGNING_KEY": MAILGUN_KEY,
    "NEWSLETTER_SENDGRID_PUBLIC_KEY": public_text(sendgrid_key()),
}


# What is told, in each provider's words


def amazon_bounce(mail: Received, address: str | None = None, **more: Any) -> dict[str, Any]:
    """What SES says of a mail for a mailbox that does not exist."""
    recipient = {
        "emailAddress": address or mail.recipient,
        "action": "failed",
        "status": "5.1.1",
        "diagnosticCode": "smtp; 550 5.1.1 user unknown",
    }
    return {
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [recipient],
            "feedbackId": str(uuid4()),
        }
        | more,
        "mail": {
            "source": mail.sender,
            "messageId": "0102-ses-made-this",
            "headersTruncated": False,
            "headers": [{"name": name, "value": str(value)} for name, value in mail.message.items()],
        },
    }


def postmark_bounce(mail: Received, address: str | None = None, **more: Any) -> dict[str, Any]:
    prefix = "x-pm-metadata-"
    metadata = {
        name[len(prefix) :].lower(): str(value)
        for name, value in mail.message.items()
        if name.lower().startswith(prefix)
    }
    return {
        "RecordType": "Bounce",
        "ID": int(uuid4()) % 10**15,
        "Type": "HardBounce",
        "TypeCode": 1,
        "MessageID": str(uuid4()),
        "Details": "smtp;550 5.1.1 The email account that you tried to reach does not exist.",
        "Email": address or mail.recipient,
        "Metadata": metadata,
    } | more


def mailgun_failure(mail: Received, address: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "event": "failed",
        "severity": "permanent",
        "reason": "bounce",
        "id": str(uuid4()),
        "timestamp": datetime.now(UTC).timestamp(),
        "recipient": address or mail.recipient,
        "delivery-status": {"code": 550, "enhanced-code": "5.1.1", "message": "5.1.1 user unknown"},
        "user-variables": json.loads(mail.message["X-Mailgun-Variables"] or "{}"),
        "message": {"headers": {"message-id": mail.message["Message-ID"].strip("<>")}},
    } | more


def sendgrid_bounce(mail: Received, address: str | None = None, **more: Any) -> dict[str, Any]:
    extra: dict[str, Any] = json.loads(mail.message["X-SMTPAPI"] or '{"unique_args": {}}')["unique_args"]
    event: dict[str, Any] = {
        "event": "bounce",
        "type": "bounce",
        "status": "5.1.1",
        "reason": "550 5.1.1 user unknown",
        "email": address or mail.recipient,
        "timestamp": 1700000000,
        "smtp-id": "<sendgrid-made-this@ismtpd-555>",
        "sg_event_id": str(uuid4()),
    }
    return event | extra | more


# How it is signed, and sent


@dataclass
class Sns:
    """Amazon's side of SNS. What is fetched from it is noted."""

    fetched: list[str] = field(default_factory=list)
    certificates: dict[str, bytes] = field(default_factory=lambda: {CERTIFICATE_URL: certificate()})
    away: bool = False

    def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if self.away or url not in (*self.certificates, SUBSCRIBE_URL):
            raise Unreachable("it answers 404")
        return self.certificates.get(url, b"<ConfirmSubscriptionResponse/>")

    def serve(self, service: Service) -> Sns:
        """Stand where the service looks for Amazon."""
        service.app.extensions["newsletter.amazon"] = Amazon(self.fetch)
        return self


def sns_message(
    text: object = "hello",
    *,
    version: str = "2",
    key: rsa.RSAPrivateKey | None = None,
    at: datetime | None = None,
    **fields: Any,
) -> dict[str, str]:
    """A signed message; `fields` replace what they name before it is signed."""
    message = {
        "Type": "Notification",
        "MessageId": str(uuid4()),
        "TopicArn": TOPIC,
        "Message": text if isinstance(text, str) else json.dumps(text),
        "Timestamp": (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
    } | fields
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if message["Type"] != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    signed = "".join(f"{name}\n{message[name]}\n" for name in names if name in message).encode()
    digest = hashes.SHA1() if message["SignatureVersion"] == "1" else hashes.SHA256()
    signature = (key or amazon_key()).sign(signed, padding.PKCS1v15(), digest)
    return message | {"Signature": base64.b64encode(signature).decode()}


def post_sns(service: Service, message: object) -> TestResponse:
    body = message if isinstance(message, bytes) else json.dumps(message)
    return service.client.post("/events/ses", data=body, content_type="text/plain; charset=UTF-8")


def post_postmark(service: Service, event: object, credentials: str | None = POSTMARK) -> TestResponse:
    headers = {}
    if credentials is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
    body = event if isinstance(event, bytes) else json.dumps(event)
    return service.client.post(
        "/events/postmark", data=body, headers=headers, content_type="application/json"
    )


def mailgun_signature(
    *, token: str | None = None, at: datetime | None = None, key: str = MAILGUN_KEY
) -> dict[str, str]:
    timestamp, token = (
        str(int((at or datetime.now(UTC)).timestamp())),
        token or uuid4().hex + "0123456789abcdef",
    )
    signature = hmac.new(key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    return {"timestamp": timestamp, "token": token, "signature": signature}


def post_mailgun(service: Service, event: object, signature: dict[str, str] | None = None) -> TestResponse:
    body = {"signature": signature or mailgun_signature(), "event-data": event}
    return service.client.post("/events/mailgun", json=body)


def post_sendgrid(
    service: Service,
    events: object,
    *,
    key: ec.EllipticCurvePrivateKey | None = None,
    at: datetime | None = None,
    signed: bytes | None = None,
) -> TestResponse:
    """Send events. `signed` is what was signed, where that is not what is sent."""
    body = events if isinstance(events, bytes) else json.dumps(events).encode()
    timestamp = str(int((at or datetime.now(UTC)).timestamp()))
    signature = (key or sendgrid_key()).sign(
        timestamp.encode() + (body if signed is None else signed), ec.ECDSA(hashes.SHA256())
    )
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }
    return service.client.post(
        "/events/sendgrid", data=body, headers=headers, content_type="application/json"
    )
