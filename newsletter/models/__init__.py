"""Tables, one noun a file. Importing this package registers them all."""

from newsletter.models.consent import ConsentEvent, Wording
from newsletter.models.limit_count import LimitCount
from newsletter.models.mailing_list import MailingList
from newsletter.models.outbox import OutboxMessage
from newsletter.models.subscriber import Subscriber
from newsletter.models.subscription import Subscription
from newsletter.models.suppression import Suppression

__all__ = [
    "ConsentEvent",
    "LimitCount",
    "MailingList",
    "OutboxMessage",
    "Subscriber",
    "Subscription",
    "Suppression",
    "Wording",
]
