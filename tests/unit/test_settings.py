"""Settings: what is not usable is named in one line."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from newsletter.settings import Settings, SettingsError


def _read(**values: str) -> Settings:
    return Settings.from_environment({f"NEWSLETTER_{name}": value for name, value in values.items()})


def test_nothing_needs_to_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = _read()

    assert settings.data_dir == tmp_path / "var"
    assert settings.database_url == f"sqlite:///{tmp_path}/var/newsletter.sqlite3"
    assert settings.base_url == "http://127.0.0.1:8000"
    assert settings.smtp is None
    assert str(settings.mail_from) == "Sender(name='Daily News', address='news@localhost')"
    assert settings.confirm_max_age == timedelta(days=7)
    assert settings.pending_retention == timedelta(days=30)
    assert settings.signup_limit is not None
    assert (settings.signup_limit.amount, settings.signup_limit.seconds) == (20, 3600)
    assert settings.on_loopback


BAD = {
    "DATABASE_URL": ["mysql://x/y", "sqlite://", "postgresql://", "nonsense"],
    "BASE_URL": ["news.example", "ftp://x", "https://", "https://x/path", "https://x?y", "http://x:port", "http://ä.example", "http://u:p@x", "https://a b", "https://*", "https://.x"],
    "SMTP_URL": ["mail.example", "http://mail.example", "smtp://", "smtp://x?starttls=maybe", "smtp://x?tls=1", "smtp://x:99999", "smtp://u:p%C3%A4@x", "smtp://h h"],
    "MAIL_FROM": ["nobody", "a b@c", "Ann <>", "<a@b> c, d@e", "X <a@b..c>", "a@[", "=?utf-8?q?a?= <a@b>"],
    "SECRET_KEYS": ["short", "k" * 32 + ",short", "k" * 32 + ","],
    "RETIRED_KEYS": ["short"],
    "TRUSTED_PROXIES": ["-1", "one", "1.5", "99"],
    "REDIS_URL": ["localhost", "http://x"],
    "API_LIMIT": ["600", "0/minute", "off"],
    "SIGNUP_LIMIT": ["20", "0/hour", "20/fortnight", "twenty/hour", "on"],
    "CONFIRM_MAX_AGE_DAYS": ["0", "-1", "week"],
    "PENDING_RETENTION_DAYS": ["0", "x"],
    "SQLITE_SYNCHRONOUS": ["off"],
    "OUTBOX_LEASE_SECONDS": ["0"],
    "LARGEST_IMPORT_MB": ["0", "4001", "2.5"],
    "WEBHOOKS_TO_PRIVATE": ["maybe"],
    "SES_TOPIC_ARN": ["newsletter", "arn:aws:sqs:eu-west-1:123456789012:x", "arn:aws:sns:eu-west-1.evil.example:123456789012:x", "arn:aws:sns:eu-west-1:1:x"],
    "POSTMARK_WEBHOOK": ["password", "user:short", "user:with spaces in its words", "a:b@c.example/0123456789abcdef"],
    "MAILGUN_SIGNING_KEY": ["short", "with spaces in its words"],
    "SENDGRID_PUBLIC_KEY": ["nonsense", "MFkw", "-----BEGIN PUBLIC KEY-----"],
    "INBOUND_DOMAIN": ["a b", "news@example.org", "https://news.example", ".x", "x." * 100 + "x"],
    "INBOUND_LISTEN": ["8024", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "::1:8024", "127.0.0.1:8024"],
    "LOG_LEVEL": ["loud"],
    "POSTAL_ADDRESS": ["Street 1\nTown"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_a_bad_value_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        _read(**{name: value})

    assert str(raised.value).startswith(f"NEWSLETTER_{name} ")
    assert "\n" not in str(raised.value)


def test_a_misspelt_variable_is_refused_with_the_right_name() -> None:
    with pytest.raises(SettingsError, match=r"NEWSLETTER_SMPT_URL is not a setting.*NEWSLETTER_SMTP_URL"):
        _read(SMPT_URL="smtp://x")


def test_what_kubernetes_puts_beside_a_service_of_that_name_is_let_be() -> None:
    assert _read(PORT="tcp://10.0.0.1:80", SERVICE_HOST="10.0.0.1", PORT_80_TCP_ADDR="10.0.0.1").smtp is None


def test_a_relay_is_read_with_its_password() -> None:
    relay = _read(SMTP_URL="smtp://me%40x:p%3Aw@mail.example?starttls=required").smtp

    assert relay is not None
    assert (relay.host, relay.port, relay.tls, relay.user, relay.password) == (
        "mail.example",
        587,
        "starttls",
        "me@x",
        "p:w",
    )
    assert "p:w" not in repr(relay)
    implicit = _read(SMTP_URL="smtps://mail.example").smtp
    assert implicit is not None
    assert (implicit.port, implicit.tls) == (465, "implicit")


def test_keys_are_not_shown_when_settings_are_printed() -> None:
    secret = "s3cret" * 8
    keys = {"SECRET_KEYS": secret, "RETIRED_KEYS": secret, "MAILGUN_SIGNING_KEY": secret}

    assert "s3cret" not in repr(_read(**keys, POSTMARK_WEBHOOK=f"user:{secret}"))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_urls_lead_to_psycopg(scheme: str) -> None:
    assert _read(DATABASE_URL=f"{scheme}://u:p@h/d").database_url == "postgresql+psycopg://u:p@h/d"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.5", True),
        ("http://[::1]:80", True),
        ("https://news.example", False),
    ],
)
def test_a_loopback_base_url_is_known(url: str, local: bool) -> None:
    assert _read(BASE_URL=url).on_loopback is local
