"""What the providers that carry mail tell of it: who is calling is proved here, and what they say is read.

One file a provider, each pure: bytes, keys and the time go in, `Report`s come out. Which mail a report is
about is known by what we wrote into that mail (`echo`), never by an address that the report names.
"""
