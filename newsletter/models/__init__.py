"""Tables, one noun a file. Importing this package registers them all."""

from newsletter.models.address_change import AddressChange
from newsletter.models.api_token import ApiToken, IdempotencyKey
from newsletter.models.consent import ConsentEvent, Journal, Tally, Wording
from newsletter.models.ledger import LedgerHead, LedgerPage
from newsletter.models.limit_count import LimitCount
from newsletter.models.mail_return import Alarm, MailReturn
from newsletter.models.mailing_list import MailingList
from newsletter.models.operator import AuditEvent, Operator, OperatorList, OperatorSession
from newsletter.models.outbox import OutboxMessage
from newsletter.models.scan import Scan
from newsletter.models.subscriber import Subscriber
from newsletter.models.subscription import Subscription
from newsletter.models.suppression import Suppression
from newsletter.models.transfer import Export, Import, ImportChunk, ImportRefusal, ImportState
from newsletter.models.webhook import Webhook, WebhookDelivery

__all__ = [
    "AddressChange",
    "Alarm",
    "ApiToken",
    "AuditEvent",
    "ConsentEvent",
    "Export",
    "IdempotencyKey",
    "Import",
    "ImportChunk",
    "ImportRefusal",
    "ImportState",
    "Journal",
    "LedgerHead",
    "LedgerPage",
    "LimitCount",
    "MailReturn",
    "MailingList",
    "Operator",
    "OperatorList",
    "OperatorSession",
    "OutboxMessage",
    "Scan",
    "Subscriber",
    "Subscription",
    "Suppression",
    "Tally",
    "Webhook",
    "WebhookDelivery",
    "Wording",
]
