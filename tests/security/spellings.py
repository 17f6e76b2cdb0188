"""Every way in which a secret may be written, so that none of them is missed."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 12
"""Characters; a shorter text occurs by chance, so it cannot be a canary."""
_PEM_LINE = re.compile(r"[A-Za-z0-9+/=]{16,}")


def spellings(secret: str) -> frozenset[bytes]:
    """Plain, escaped, URL-encoded, hex, and base64 wherever in a longer text the secret stands.

    A PEM key is sought line by line; empty for a text that is too short to be told from others.
    """
    parts = _PEM_LINE.findall(secret) if "-----BEGIN" in secret else [secret]
    return frozenset(found for part in parts if len(part) >= SHORTEST for found in _spelled(part))


def _spelled(secret: str) -> Iterator[bytes]:
    raw = secret.encode("utf-8", "surrogatepass")
    escaped = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    encoded = (quote(raw), quote(raw, safe=""), quote_plus(raw), raw.hex(), raw.hex().upper())
    yield raw
    for text in (*escaped, *encoded):
        yield text.encode("utf-8", "surrogatepass")
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text).encode("utf-8", "surrogatepass")
    for shift in range(3):
        yield from _base64_cores(raw, shift)


def _base64_cores(raw: bytes, shift: int) -> Iterator[bytes]:
    """The base64 characters that depend on the secret alone, where `shift` bytes (modulo 3) stand before it."""
    first = -(-shift * 8 // 6)
    last = (shift + len(raw)) * 8 // 6
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(b"\0" * shift + raw)[first:last]


class Canaries:
    """Secrets by name, and a search for them."""

    def __init__(self) -> None:
        self._needles: dict[bytes, str] = {b"PRIVATE KEY-----": "a private key"}

    def plant(self, name: str, secret: str) -> None:
        """Look for this secret from now on; the name is what a finding says."""
        for needle in spellings(secret):
            self._needles.setdefault(needle, name)

    def found_in(self, text: bytes) -> set[str]:
        """The names of the secrets in a text."""
        return {name for needle, name in self._needles.items() if needle in text}
