"""Tables, one noun a file. Importing this package registers them all."""

from newsletter.models.consent import ConsentEvent, Wording
from newsletter.models.mailing_list import MailingList
from newsletter.models.outbox import OutboxMessage
from newsletter.models.request_count import RequestCount
from newsletter.models.subscriber import Subscriber
from newsletter.models.subscription import Subscription
from newsletter.models.suppression import Suppression

__all__ = [
    "ConsentEvent",
    "MailingList",
    "OutboxMessage",
    "RequestCount",
    "Subscriber",
    "Subscription",
    "Suppression",
    "Wording",
]
