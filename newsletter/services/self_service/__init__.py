"""What subscribers do themselves, on their own page: see, pause, change, take along, erase.

Whoever holds a link to the page acts as that person. How much the link opens is for the page to ask
(newsletter.web.own_page): one that stood in a mail, which may have been passed on, opens little."""

from newsletter.services.self_service.addresses import (
    Change,
    Made,
    NewAddressRequest,
    Press,
    find_change,
    forget_changes,
    make_change,
    request_change,
    stop_change,
    undo_change,
)
from newsletter.services.self_service.copying import copy_of
from newsletter.services.self_service.finding import Holding, OwnPage, find_page
from newsletter.services.self_service.leaving import Departure, leave
from newsletter.services.self_service.pausing import Pause, pause
from newsletter.services.self_service.profile import ProfileChange, change_profile

__all__ = [
    "Change",
    "Departure",
    "Holding",
    "Made",
    "NewAddressRequest",
    "OwnPage",
    "Pause",
    "Press",
    "ProfileChange",
    "change_profile",
    "copy_of",
    "find_change",
    "find_page",
    "forget_changes",
    "leave",
    "make_change",
    "pause",
    "request_change",
    "stop_change",
    "undo_change",
]
