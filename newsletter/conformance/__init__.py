"""Does this service do what mail systems and readers expect of it? `newsletter conformance` finds out.

A rule is a sentence, its source and a function that yields faults. Some look at a mail, some replay what mail
programs, scanners and people do with its links, against a copy of the service (see `copying`) or in public
(see `public`).
"""
