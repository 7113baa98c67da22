"""The signature of a manifest: what an export says of its file, so that nobody else can say it.

Of the keys the last one signs and all verify (D2), with a salt of its own. The text of a signature is
compared whole: its last character has spare bits that a verifier of bytes would not look at.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from itsdangerous import Signer

_SALT = "newsletter.export.v1"


def sign(fields: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The signature of these fields by the key that signs."""
    return _signature(fields, keys[-1])


def is_signed(fields: Mapping[str, Any], signature: str, keys: Sequence[str]) -> bool:
    """Whether one of `keys` made this signature of these fields."""
    return any(
        hmac.compare_digest(_signature(fields, key).encode(), signature.encode("utf-8", "surrogatepass"))
        for key in keys
    )


def _signature(fields: Mapping[str, Any], key: str) -> str:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return Signer(key, salt=_SALT, digest_method=hashlib.sha256).get_signature(text).decode()
