"""A list's subscribers, as those see them who act for its publisher: find, search, add, edit, unsubscribe,
erase. A subscriber is named by the id of their subscription to the list."""

from __future__ import annotations

from newsletter.services.subscribers.adding import Added, CannotAdd, Newcomer, add
from newsletter.services.subscribers.changing import Changes, edit, unsubscribe
from newsletter.services.subscribers.erasing import CannotSuppress, Erased, erase
from newsletter.services.subscribers.finding import (
    Elsewhere,
    HistoryEntry,
    Mail,
    SubscriberGone,
    SubscriberView,
    find,
    find_address,
)
from newsletter.services.subscribers.searching import Page, Row, search, sources

__all__ = [
    "Added",
    "CannotAdd",
    "CannotSuppress",
    "Changes",
    "Elsewhere",
    "Erased",
    "HistoryEntry",
    "Mail",
    "Newcomer",
    "Page",
    "Row",
    "SubscriberGone",
    "SubscriberView",
    "add",
    "edit",
    "erase",
    "find",
    "find_address",
    "search",
    "sources",
    "unsubscribe",
]
