"""Where a visitor opens their mail, for providers whose web address is known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Inbox:
    """A provider's name and the page that shows its inbox."""

    name: str
    url: str


_GMAIL = Inbox("Gmail", "https://mail.google.com/mail/u/0/#inbox")
_OUTLOOK = Inbox("Outlook", "https://outlook.live.com/mail/0/inbox")
_YAHOO = Inbox("Yahoo Mail", "https://mail.yahoo.com/")
_ICLOUD = Inbox("iCloud Mail", "https://www.icloud.com/mail")
_PROTON = Inbox("Proton Mail", "https://mail.proton.me/")
_GMX_DE = Inbox("GMX", "https://www.gmx.net/")
_INBOXES = {
    "gmail.com": _GMAIL,
    "googlemail.com": _GMAIL,
    "outlook.com": _OUTLOOK,
    "hotmail.com": _OUTLOOK,
    "live.com": _OUTLOOK,
    "msn.com": _OUTLOOK,
    "icloud.com": _ICLOUD,
    "me.com": _ICLOUD,
    "mac.com": _ICLOUD,
    "proton.me": _PROTON,
    "protonmail.com": _PROTON,
    "aol.com": Inbox("AOL Mail", "https://mail.aol.com/"),
    "gmx.de": _GMX_DE,
    "gmx.net": _GMX_DE,
    "gmx.com": Inbox("GMX", "https://www.gmx.com/"),
    "web.de": Inbox("WEB.DE", "https://web.de/"),
    "yandex.ru": Inbox("Yandex Mail", "https://mail.yandex.ru/"),
    "yandex.com": Inbox("Yandex Mail", "https://mail.yandex.com/"),
    "mail.ru": Inbox("Mail.ru", "https://e.mail.ru/inbox/"),
    "rediffmail.com": Inbox("Rediffmail", "https://mail.rediff.com/"),
    "fastmail.com": Inbox("Fastmail", "https://app.fastmail.com/mail/Inbox"),
}


def inbox_of(address: str) -> Inbox | None:
    """The inbox that `address` is read in, where the provider is known by its domain."""
    domain = address.rpartition("@")[2].lower()
    if domain.startswith(("yahoo.", "ymail.")):
        return _YAHOO
    if domain.startswith(("hotmail.", "outlook.", "live.")):
        return _OUTLOOK
    return _INBOXES.get(domain)
