"""Reads PEM texts as people paste them, and finds the certificate that belongs to the private key.

The text for Anaplan is made from the parsed certificate, because the pasted field may also hold a private key.
`cryptography` is imported only when it is used, because most users log in with a password and it slows cold starts.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from contextlib import suppress
from textwrap import wrap
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_MARKER = re.compile(r"-----(?:BEGIN|END) ([A-Z0-9 ]+)-----")
_ESCAPED = re.compile(r"\\+[rnt]")
"""Line breaks and tabs as the two characters of an escape, perhaps escaped once more."""
_UNSEEN = re.compile("[\ufeff\u200b-\u200d\u2060]")
_LEGACY_ENCRYPTION = re.compile(r"\s*Proc-Type:\s*4,\s*ENCRYPTED\s+DEK-Info:\s*(\S+)\s+")
_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
_OTHERS = {
    "PUBLIC KEY": "a public key",
    "RSA PUBLIC KEY": "a public key",
    "CERTIFICATE REQUEST": "a certificate request",
    "NEW CERTIFICATE REQUEST": "a certificate request",
    "OPENSSH PRIVATE KEY": "a key in OpenSSH's form",
    "PKCS7": "a PKCS #7 file",
}


class PemUnusable(ValueError):
    """Certificate and key cannot be used. The text names the field and the remedy, and never shows the content."""


class _Block(Struct, frozen=True):
    label: str
    der: bytes
    cipher: str | None = None
    """The `DEK-Info` of a key in OpenSSL's older encrypted form."""

    def __repr__(self) -> str:
        return f"_Block({self.label!r})"

    @property
    def pem(self) -> bytes:
        """The block as PEM text."""
        headers = f"Proc-Type: 4,ENCRYPTED\nDEK-Info: {self.cipher}\n\n" if self.cipher else ""
        body = "\n".join(wrap(binascii.b2a_base64(self.der, newline=False).decode(), 64))
        return f"-----BEGIN {self.label}-----\n{headers}{body}\n-----END {self.label}-----\n".encode()


class Pair(Struct, frozen=True):
    """A certificate and the private key that belongs to it."""

    certificate: Certificate
    key: RSAPrivateKey

    def __repr__(self) -> str:
        return "Pair(…)"

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone, in PEM form."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self.certificate.public_bytes(Encoding.PEM)


def read_pair(certificate: str, private_key: str, password: str | None, now_ms: int) -> Pair:
    """The private key in the secret's two PEM fields, and its certificate; `now_ms` is epoch ms.

    Accepted in either field: several blocks in any order, a whole chain, bag attributes around them, line breaks that
    became spaces or the two characters `\\n`, and a single block without its BEGIN and END lines. Raises `PemUnusable`.
    """
    blocks = [*_blocks(certificate, "certificate"), *_blocks(private_key, "private_key")]
    certificates = _certificates(blocks)
    keys = _private_keys(blocks, password)
    fitting = [Pair(each, key) for key in keys for each in certificates if each.public_key() == key.public_key()]
    if not fitting:
        raise PemUnusable(
            'The secret\'s "certificate" and "private_key" do not belong together. '
            "Store the certificate that was made for this key, or the key of this certificate."
        )
    return _valid(fitting, now_ms)


def _blocks(text: str, field: str) -> list[_Block]:
    """The PEM blocks of a field, in their order."""
    text = _UNSEEN.sub("", _ESCAPED.sub("\n", text))
    found = [block for match in _BLOCK.finditer(text) if (block := _block(match[1], match[2]))]
    markers = _MARKER.findall(text)
    if found or len(markers) > 1:
        return found
    label = markers[0] if markers else "CERTIFICATE" if field == "certificate" else "PRIVATE KEY"
    bare = _block(label, _MARKER.sub("", text))  # without its BEGIN line, its END line or both
    return [bare] if bare and bare.der else []


def _block(label: str, body: str) -> _Block | None:
    legacy = _LEGACY_ENCRYPTION.match(body)
    encoded = "".join(body[legacy.end() if legacy else 0 :].split())
    try:
        return _Block(label, b64decode(encoded, validate=True), legacy[1] if legacy else None)
    except ValueError:
        return None


def _certificates(blocks: Sequence[_Block]) -> list[Certificate]:
    from cryptography import x509

    found = []
    for block in blocks:
        if block.label in _CERTIFICATES:
            with suppress(ValueError):
                found.append(x509.load_der_x509_certificate(block.der))
    if not found:
        raise PemUnusable(
            f'The secret\'s "certificate" has no certificate in PEM form{_instead(blocks, _KEYS)}. '
            "Store the text of the certificate file, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----."
        )
    return found


def _private_keys(blocks: Sequence[_Block], password: str | None) -> list[RSAPrivateKey]:
    keys: list[RSAPrivateKey] = []
    problem = None
    for block in _distinct(block for block in blocks if block.label in _KEYS):
        try:
            keys.append(_private_key(block, password))
        except PemUnusable as error:
            problem = str(error)
    if keys:
        return keys
    if problem is None:
        raise PemUnusable(
            f'The secret\'s "private_key" has no private key in PEM form{_instead(blocks, ())}. '
            "Store the text of the key file, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----."
        )
    raise PemUnusable(problem)


def _private_key(block: _Block, password: str | None) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    given = password.encode(errors="surrogatepass") if password else None
    key = None
    try:
        key = load_pem_private_key(block.pem, given) if block.cipher else load_der_private_key(block.der, given)
    except TypeError:
        problem = (
            'is not encrypted. Leave "private_key_password" out of the secret.'
            if given
            else 'is encrypted. Add its password to the secret as "private_key_password".'
        )
    except (ValueError, UnsupportedAlgorithm):
        problem = (
            'cannot be read: "private_key_password" is wrong, or the key is damaged. Store both again.'
            if given
            else "cannot be read: the text between BEGIN and END is damaged. Store the key file's text again."
        )
    else:
        problem = "is not an RSA key. Anaplan takes RSA only: register a certificate with an RSA key."
    if isinstance(key, RSAPrivateKey):
        return key
    # Raise outside the `except` block, so that the key's text does not become the error's context.
    raise PemUnusable(f'The secret\'s "private_key" {problem}')


def _valid(pairs: Sequence[Pair], now_ms: int) -> Pair:
    """The pair that is valid now; of several, the one that is valid longest."""
    last = max(pairs, key=lambda pair: pair.certificate.not_valid_after_utc)
    now = now_ms / 1000
    valid = [
        pair
        for pair in pairs
        if pair.certificate.not_valid_before_utc.timestamp() <= now <= pair.certificate.not_valid_after_utc.timestamp()
    ]
    if valid:
        return max(valid, key=lambda pair: pair.certificate.not_valid_after_utc)
    begin, expiry = last.certificate.not_valid_before_utc, last.certificate.not_valid_after_utc
    if begin.timestamp() > now:
        raise PemUnusable(
            f"The secret's certificate is not valid before {begin:%Y-%m-%d %H:%M} UTC. "
            "Wait until then, or store one that is valid now."
        )
    raise PemUnusable(f"The secret's certificate expired on {expiry:%Y-%m-%d}. Register a new one with Anaplan.")


def _distinct(blocks: Iterable[_Block]) -> list[_Block]:
    return list({block.der: block for block in blocks}.values())


def _instead(blocks: Iterable[_Block], also: Iterable[str]) -> str:
    """What the fields hold instead of the missing part."""
    found = {_OTHERS[block.label] for block in blocks if block.label in _OTHERS}
    if not found and any(block.label in also for block in blocks):
        found = {"a private key alone"}
    return f", but {' and '.join(sorted(found))}" if found else ""
