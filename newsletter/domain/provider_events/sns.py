"""Messages of Amazon SNS: proved to come from the one topic that we were told of.

Only then is anything believed, and nothing is fetched before the address to fetch from is known to be
Amazon's: it is compared with the one host that the topic's region has, letter by letter, so that there is
nothing to be clever with (https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from newsletter.domain.provider_events.fields import Fields, read_object
from newsletter.domain.provider_events.report import Forged
from newsletter.settings import TOPIC_ARN

# Amazon tries for an hour at most (the hard limit of a delivery policy for HTTP).
_OLDEST = timedelta(hours=2)
_CLOCKS_DIFFER = timedelta(minutes=5)

_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_HASHES = {"1": hashes.SHA1, "2": hashes.SHA256}  # by SignatureVersion


@dataclass(frozen=True)
class Message:
    """A message that the topic has sent."""

    id: str
    type: str
    text: str
    subscribe_url: str


def read_message(
    body: bytes, *, topic_arn: str, now: datetime, certificate_at: Callable[[str], bytes]
) -> Message:
    """The message that a body is. `certificate_at` fetches what Amazon has at an address, and is called with
    addresses of Amazon's alone. Raises `Unreadable` and `Forged`."""
    fields = read_object(body)
    kind = fields.text("Type")
    if fields.text("TopicArn") != topic_arn:
        raise Forged("it is from another topic")
    if kind not in _SIGNED or fields.text("SignatureVersion") not in _HASHES:
        raise Forged("it is signed in no way that Amazon SNS has")
    if not -_CLOCKS_DIFFER <= now - _moment(fields.text("Timestamp")) <= _OLDEST:
        raise Forged("it is too old, or from the future")
    url = fields.text("SigningCertURL")
    if not is_certificate_url(url, topic_arn):
        raise Forged("its certificate is not Amazon's")
    _verify(fields, certificate_at(url), now)
    return Message(
        id=fields.text("MessageId"),
        type=kind,
        text=fields.text("Message"),
        subscribe_url=fields.text("SubscribeURL"),
    )


def is_certificate_url(url: str, topic_arn: str) -> bool:
    """Whether that is where the topic's region keeps a certificate."""
    return _at(topic_arn, r"SimpleNotificationService-[0-9A-Za-z]{1,64}\.pem").fullmatch(url) is not None


def is_subscribe_url(url: str, topic_arn: str) -> bool:
    """Whether that is where a subscription to the topic is confirmed."""
    return (
        _at(topic_arn, r"\?Action=ConfirmSubscription&[A-Za-z0-9%&=._:~+-]{1,2000}").fullmatch(url)
        is not None
    )


def _at(topic_arn: str, target: str) -> re.Pattern[str]:
    topic = TOPIC_ARN.fullmatch(topic_arn)
    if topic is None:
        raise ValueError(f"{topic_arn} is no topic of Amazon SNS")
    suffix = ".cn" if topic["partition"] == "aws-cn" else ""
    host = f"sns.{topic['region']}.amazonaws.com{suffix}"
    return re.compile(f"https://{re.escape(host)}/{target}")


def _moment(timestamp: str) -> datetime:
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise Forged("it has no time") from error
    if moment.tzinfo is None:
        raise Forged("its time has no time zone")
    return moment


def _verify(fields: Fields, pem: bytes, now: datetime) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
        signature = base64.b64decode(fields.text("Signature"), validate=True)
        signed = _signed(fields).encode()
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise Forged("its certificate or signature cannot be read") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise Forged("its certificate holds no RSA key")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Forged("its certificate is not valid today")
    try:
        key.verify(signature, signed, padding.PKCS1v15(), _HASHES[fields.text("SignatureVersion")]())
    except InvalidSignature as error:
        raise Forged("its signature is wrong") from error


def _signed(fields: Fields) -> str:
    """Names and values, each on its line; a Subject only where there is one."""
    pairs = ((name, fields.text(name)) for name in _SIGNED[fields.text("Type")])
    return "".join(f"{name}\n{value}\n" for name, value in pairs if value or name != "Subject")
