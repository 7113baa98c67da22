"""A mailing list: what people subscribe to."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class MailingList(Base):
    """`slug` names the list in URLs and commands; the rest is what its readers see."""

    __tablename__ = "mailing_lists"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    # The words over the page and over the form; without them, words made from the name.
    headline: Mapped[str | None] = mapped_column(String(200))
    invitation: Mapped[str | None] = mapped_column(String(200))
    # `Name <address>`; without it, NEWSLETTER_MAIL_FROM.
    sender: Mapped[str | None] = mapped_column(String(320))
    # Exact origins, such as https://news.example.org, that may embed the form.
    sites: Mapped[list[str]]
    # Where a form may send its visitors afterwards: whole addresses of pages.
    return_urls: Mapped[list[str]]
    # The language of its pages and mails; without it, the visitor's own.
    locale: Mapped[str | None] = mapped_column(String(35))
    # After how many hours an unconfirmed sign-up is reminded, once; without it, never.
    reminder_after_hours: Mapped[int | None]
    # Plain text that whoever confirms is mailed; without it, no mail.
    welcome: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
