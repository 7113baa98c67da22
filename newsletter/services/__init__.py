"""Use cases, one verb a file. They take the session, the settings and the time, and never commit.

Those behind a request take many requests at once, because many are committed together.
"""
