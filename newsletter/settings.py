"""Every knob of the service, read once from the environment and checked at the start.

A bad value never starts a service that does something else than was meant: `SettingsError`
names the variable and what it should be, in one line.
"""

from __future__ import annotations

import base64
import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

PREFIX = "NEWSLETTER_"

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_HOST = re.compile(rf"{_DOMAIN}|[0-9a-fA-F:.]+")
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = rf"{_ATEXT}(?:\.{_ATEXT})*@{_DOMAIN}"
# `Name <address>`, `<address>` or a bare address.
_SENDER = re.compile(rf"(?:(?P<name>[^<>]*)<(?P<address>{_ADDRESS})>)|(?P<bare>{_ADDRESS})")
# What Kubernetes puts into every container beside a service that is called `newsletter`.
_FROM_KUBERNETES = re.compile(r"PORT|SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT_[0-9]+_(?:TCP|UDP)(?:_.+)?")
# A topic of Amazon SNS.
TOPIC_ARN = re.compile(
    r"arn:(?P<partition>aws|aws-cn|aws-us-gov):sns:(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2})"
    r":[0-9]{12}:[A-Za-z0-9_-]{1,256}"
)
# A public key of the curve P-256 in DER (RFC 5480): what it begins with, and how many bytes it has.
_P256_BEGINS = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_P256_LENGTH = 91
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


class SettingsError(Exception):
    """A setting cannot be used. The message is one line: which variable, and what it should be."""


@dataclass(frozen=True)
class Sender:
    """The visible sender of a mail: a display name (may be empty) and an address."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True)
class Relay:
    """The SMTP server that takes our mail. `tls` says how the connection is protected."""

    host: str
    port: int
    tls: Literal["implicit", "starttls", "opportunistic"]
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Limit:
    """At most `amount` in any `seconds`."""

    amount: int
    seconds: int


@dataclass(frozen=True)
class Settings:
    """What an operator decides. Field by field the `NEWSLETTER_…` variables of docs/settings.md."""

    data_dir: Path
    database_url: str
    database_connections: int  # of one process
    base_url: str
    smtp: Relay | None
    smtp_connections: int
    mail_from: Sender
    postal_address: str | None
    secret_keys: tuple[str, ...] = field(repr=False)
    retired_keys: tuple[str, ...] = field(repr=False)
    trusted_proxies: int
    redis_url: str | None
    signup_limit: Limit | None
    surge_limit: Limit
    api_limit: Limit
    confirm_max_age: timedelta
    pending_retention: timedelta
    sqlite_synchronous: Literal["FULL", "NORMAL"]
    outbox_lease: timedelta
    largest_import: int  # bytes
    webhooks_to_private: bool
    ses_topic_arn: str | None
    postmark_webhook: str | None = field(repr=False)  # user:password
    mailgun_signing_key: str | None = field(repr=False)
    sendgrid_public_key: str | None
    inbound_domain: str | None
    inbound_listen: tuple[str, int] | None  # host and port
    log_level: str

    @property
    def base_host(self) -> str:
        """The host that visitors see, without a port."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def secure(self) -> bool:
        """Whether visitors reach the service over https."""
        return self.base_url.startswith("https://")

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can follow our links: a newcomer's try, not production."""
        if self.base_host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.base_host).is_loopback
        except ValueError:
            return False

    @property
    def on_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def mailbox_dir(self) -> Path:
        """Where mail is kept when no relay is set."""
        return self.data_dir / "mailbox"

    @property
    def dead_letters_dir(self) -> Path:
        """Where mail is laid that came back and could not be read."""
        return self.data_dir / "dead-letters"

    @property
    def spool_dir(self) -> Path:
        """Where is kept what was asked while the database was away."""
        return self.data_dir / "spool"

    @property
    def keys_file(self) -> Path:
        return self.data_dir / "secret_keys"

    @property
    def needs_data_dir(self) -> bool:
        """False where the database, the keys and the relay are all elsewhere: then the folder is made when
        something must be kept in the spool."""
        return self.on_sqlite or not self.secret_keys or self.smtp is None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `environ` (the process's own by default).

        Raises `SettingsError` for the first value that cannot be used, and for a variable that
        starts with the prefix but is none of ours: a misspelt one would silently do nothing.
        """
        reader = _Reader(os.environ if environ is None else environ)
        data_dir = Path(reader.text("DATA_DIR") or "var").absolute()
        settings = cls(
            data_dir=data_dir,
            database_url=_database_url(reader, data_dir),
            database_connections=reader.number("DATABASE_CONNECTIONS", 16, least=4, most=200),
            base_url=_base_url(reader),
            smtp=_relay(reader),
            smtp_connections=reader.number("SMTP_CONNECTIONS", 8, least=1, most=50),
            mail_from=_sender(reader),
            postal_address=reader.text("POSTAL_ADDRESS"),
            secret_keys=_keys(reader, "SECRET_KEYS"),
            retired_keys=_keys(reader, "RETIRED_KEYS"),
            trusted_proxies=reader.number("TRUSTED_PROXIES", 0, least=0, most=10),
            redis_url=_redis_url(reader),
            signup_limit=_signup_limit(reader),
            surge_limit=_limit(reader, "SURGE_LIMIT", "300/10minutes"),
            api_limit=_limit(reader, "API_LIMIT", "600/minute"),
            confirm_max_age=timedelta(days=reader.number("CONFIRM_MAX_AGE_DAYS", 7, least=1, most=365)),
            pending_retention=timedelta(days=reader.number("PENDING_RETENTION_DAYS", 30, least=1, most=3650)),
            sqlite_synchronous="NORMAL"
            if reader.choice("SQLITE_SYNCHRONOUS", "full", "normal") == "normal"
            else "FULL",
            outbox_lease=timedelta(seconds=reader.number("OUTBOX_LEASE_SECONDS", 30, least=1, most=3600)),
            largest_import=reader.number("LARGEST_IMPORT_MB", 200, least=1, most=4000) * 1024 * 1024,
            webhooks_to_private=reader.choice("WEBHOOKS_TO_PRIVATE", "off", "on") == "on",
            ses_topic_arn=_topic_arn(reader),
            postmark_webhook=_postmark_webhook(reader),
            mailgun_signing_key=_mailgun_signing_key(reader),
            sendgrid_public_key=_sendgrid_public_key(reader),
            inbound_domain=_inbound_domain(reader),
            inbound_listen=_inbound_listen(reader),
            log_level=reader.choice("LOG_LEVEL", "info", "debug", "warning", "error"),
        )
        reader.refuse_unknown()
        if settings.inbound_listen is not None and settings.inbound_domain is None:
            raise bad("INBOUND_LISTEN", "needs NEWSLETTER_INBOUND_DOMAIN, the domain whose mail comes there")
        return settings


class _Reader:
    """Reads variables by their name without the prefix, and remembers which exist."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: set[str] = set()

    def text(self, name: str) -> str | None:
        """The value, or None where it is unset or blank."""
        self._known.add(name)
        value = self._environ.get(PREFIX + name, "").strip()
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise bad(name, "must not hold line breaks or other control characters")
        return value or None

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
            raise bad(name, f"must be a whole number from {least} to {most}, not {value!r}")
        return int(value)

    def choice(self, name: str, default: str, *others: str) -> str:
        value = (self.text(name) or default).lower()
        if value not in (default, *others):
            raise bad(name, f"must be one of {', '.join((default, *others))}, not {value!r}")
        return value

    def refuse_unknown(self) -> None:
        for variable in sorted(self._environ):
            name = variable.removeprefix(PREFIX)
            if (
                variable.startswith(PREFIX)
                and name not in self._known
                and not _FROM_KUBERNETES.fullmatch(name)
            ):
                near = difflib.get_close_matches(name, sorted(self._known), n=1)
                hint = (
                    f"did you mean {PREFIX}{near[0]}?" if near else "see docs/settings.md for those there are"
                )
                raise SettingsError(f"{variable} is not a setting of this service: {hint}")


def bad(name: str, what: str) -> SettingsError:
    """The error for the variable `name` (without its prefix)."""
    return SettingsError(f"{PREFIX}{name} {what}")


def _database_url(reader: _Reader, data_dir: Path) -> str:
    value = reader.text("DATABASE_URL")
    if value is None:
        if "%" in str(data_dir) or "?" in str(data_dir):
            raise bad(
                "DATA_DIR", "must be a path without % and ?, which mean something else in a database's URL"
            )
        return f"sqlite:///{data_dir / 'newsletter.sqlite3'}"
    scheme, separator, rest = value.partition("://")
    if separator and scheme in ("postgresql", "postgres", "postgresql+psycopg") and rest and _has_port(value):
        return f"postgresql+psycopg://{rest}"
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return f"sqlite:///{Path(rest[1:]).absolute()}"
    raise bad(
        "DATABASE_URL", "must look like postgresql://user:password@host/database or sqlite:////path/to/file"
    )


def _has_port(url: str) -> bool:
    """Whether the part of a URL that names host and port can be read."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _base_url(reader: _Reader) -> str:
    value = reader.text("BASE_URL") or "http://127.0.0.1:8000"
    fault = bad("BASE_URL", f"must be an origin such as https://news.example.org, not {value!r}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise fault from error
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.username
        or parts.query
        or parts.fragment
    ):
        raise fault
    if parts.path not in ("", "/") or not parts.hostname.isascii():
        raise fault
    if not _HOST.fullmatch(parts.hostname) or "@" in parts.netloc:
        raise fault
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def _relay(reader: _Reader) -> Relay | None:
    value = reader.text("SMTP_URL")
    if value is None:
        return None
    fault = bad("SMTP_URL", "must look like smtp://user:password@host:587 or smtps://user:password@host:465")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise fault from error
    if (
        parts.scheme not in ("smtp", "smtps")
        or not parts.hostname
        or parts.path not in ("", "/")
        or port == 0
    ):
        raise fault
    if not _HOST.fullmatch(parts.hostname):
        raise fault
    if not unquote(parts.username or "").isascii() or not unquote(parts.password or "").isascii():
        raise bad("SMTP_URL", "must hold a user and a password in ASCII letters: SMTP logins take no others")
    options = parse_qs(parts.query, keep_blank_values=True)
    starttls = options.pop("starttls", ["when-offered"])[-1]
    if options or starttls not in ("when-offered", "required"):
        raise bad(
            "SMTP_URL", "takes one option: ?starttls=required (without it, STARTTLS is used when offered)"
        )
    tls: Literal["implicit", "starttls", "opportunistic"] = "opportunistic"
    if parts.scheme == "smtps":
        tls = "implicit"
    elif starttls == "required":
        tls = "starttls"
    return Relay(
        host=parts.hostname,
        port=port or (465 if tls == "implicit" else 587),
        tls=tls,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def parse_sender(value: str) -> Sender | None:
    """A sender from `Name <address>` or a bare address; None where it is neither."""
    match = _SENDER.fullmatch(value.strip())
    if match is None or len(value) > 320 or "=?" in value:
        return None
    name = (match["name"] or "").strip()
    if name[:1] == name[-1:] == '"':
        name = name[1:-1].replace('\\"', '"')
    return Sender(name=name.strip(), address=match["address"] or match["bare"])


def _sender(reader: _Reader) -> Sender:
    value = reader.text("MAIL_FROM") or "Daily News <news@localhost>"
    sender = parse_sender(value)
    if sender is None:
        raise bad("MAIL_FROM", f"must look like Daily News <news@example.org>, not {value!r}")
    return sender


def _keys(reader: _Reader, name: str) -> tuple[str, ...]:
    value = reader.text(name)
    if value is None:
        return ()
    keys = tuple(key.strip() for key in value.split(","))
    if any(len(key) < 32 for key in keys):
        raise bad(name, "must be keys of at least 32 characters each, separated by commas")
    return keys


def _topic_arn(reader: _Reader) -> str | None:
    value = reader.text("SES_TOPIC_ARN")
    if value is not None and not TOPIC_ARN.fullmatch(value):
        raise bad("SES_TOPIC_ARN", "must look like arn:aws:sns:eu-west-1:123456789012:name")
    return value


def _postmark_webhook(reader: _Reader) -> str | None:
    value = reader.text("POSTMARK_WEBHOOK")
    if value is not None and not re.fullmatch(r"[A-Za-z0-9._~-]+:[A-Za-z0-9._~-]{16,}", value):
        raise bad(
            "POSTMARK_WEBHOOK",
            "must look like user:password, of letters, digits and -._~, the password at least 16 of them",
        )
    return value


def _mailgun_signing_key(reader: _Reader) -> str | None:
    value = reader.text("MAILGUN_SIGNING_KEY")
    if value is not None and not re.fullmatch(r"[!-~]{16,}", value):
        raise bad("MAILGUN_SIGNING_KEY", "must be the HTTP webhook signing key, at least 16 characters")
    return value


def _sendgrid_public_key(reader: _Reader) -> str | None:
    value = reader.text("SENDGRID_PUBLIC_KEY")
    fault = bad("SENDGRID_PUBLIC_KEY", "must be the verification key as it is shown, such as MFkw…==")
    try:
        key = base64.b64decode(value or "", validate=True)
    except ValueError as error:
        raise fault from error
    if value is not None and not (len(key) == _P256_LENGTH and key.startswith(_P256_BEGINS)):
        raise fault
    return value


def _inbound_domain(reader: _Reader) -> str | None:
    value = reader.text("INBOUND_DOMAIN")
    # A local part of ours has up to 57 octets, and an address 254 in all.
    if value is not None and (not re.fullmatch(_DOMAIN, value) or len(value) > 190):
        raise bad("INBOUND_DOMAIN", f"must be a domain such as bounces.news.example.org, not {value!r}")
    return value.lower() if value is not None else None


def _inbound_listen(reader: _Reader) -> tuple[str, int] | None:
    value = reader.text("INBOUND_LISTEN")
    if value is None:
        return None
    match = re.fullmatch(rf"(?:({_DOMAIN})|\[([0-9a-fA-F:.]+)\]):([1-9][0-9]{{0,4}})", value)
    if match is None or int(match[3]) > 65535:
        raise bad("INBOUND_LISTEN", f"must look like 127.0.0.1:8024, not {value!r}")
    return match[1] or match[2], int(match[3])


def _redis_url(reader: _Reader) -> str | None:
    value = reader.text("REDIS_URL")
    if value is not None and not re.match(r"(redis|rediss|unix)://.", value):
        raise bad("REDIS_URL", "must look like redis://host:6379/0")
    return value


def _signup_limit(reader: _Reader) -> Limit | None:
    if reader.text("SIGNUP_LIMIT") == "off":
        return None
    return _limit(reader, "SIGNUP_LIMIT", "20/hour", or_else=" or be off")


def _limit(reader: _Reader, name: str, default: str, *, or_else: str = "") -> Limit:
    value = reader.text(name) or default
    match = re.fullmatch(r"([1-9][0-9]{0,6})/([1-9][0-9]?)?(second|minute|hour|day)s?", value)
    if not match:
        raise bad(
            name,
            f"must look like 20/hour or 100/10minutes (second, minute, hour or day){or_else}, not {value!r}",
        )
    return Limit(amount=int(match[1]), seconds=int(match[2] or 1) * _SECONDS[match[3]])
