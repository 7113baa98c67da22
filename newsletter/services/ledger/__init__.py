"""The ledger: it follows the journal, line by line, and shows what was done to an event since (ADR 16).

`keeping` writes it and forgets in it, `content` says what of an event counts, `verifying` checks it all,
`histories` against the subscriptions."""

from newsletter.services.ledger.faults import Checked, Fault
from newsletter.services.ledger.histories import strays
from newsletter.services.ledger.keeping import LedgerStopped, extend, forget, is_behind
from newsletter.services.ledger.kept_heads import NoHead, head_text, read_head
from newsletter.services.ledger.verifying import verify

__all__ = [
    "Checked",
    "Fault",
    "LedgerStopped",
    "NoHead",
    "extend",
    "forget",
    "head_text",
    "is_behind",
    "read_head",
    "strays",
    "verify",
]
