"""Reads PEM texts as people paste them, and finds the certificate that belongs to the private key.

The text for Anaplan is made from the parsed certificate, because the pasted field may also hold a private key.
`cryptography` is imported only when it is used, as this module is: most users log in with a password.
"""

from __future__ import annotations

import binascii
import re
import unicodedata
from base64 import b64decode
from contextlib import suppress
from textwrap import wrap
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate

_MARKER = r"-----(BEGIN|END) ([A-Z0-9 #]+)-----"
_ESCAPED = r"\\+[rnt]"
"""Line breaks and tabs as the two characters of an escape, perhaps escaped once more."""
_DASHES = "[-\u2010-\u2015\u2212]{2,}"
"""Programs that correct what is typed turn hyphens into dashes."""
_DAMAGED = "cannot be read: its text is damaged or not complete. Store the key file's text again."
_LEGACY_ENCRYPTION = r"\s*Proc-Type:\s*4,\s*ENCRYPTED\s+DEK-Info:\s*(\S+)\s+"
_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
_OTHERS = {
    "PUBLIC KEY": "a public key",
    "RSA PUBLIC KEY": "a public key",
    "CERTIFICATE REQUEST": "a certificate request",
    "NEW CERTIFICATE REQUEST": "a certificate request",
    "OPENSSH PRIVATE KEY": "a key in OpenSSH's form",
    **dict.fromkeys(("PKCS7", "PKCS #7 SIGNED DATA", "CMS"), "a PKCS #7 file"),
    **dict.fromkeys(_KEYS, "a private key"),
    **dict.fromkeys(_CERTIFICATES, "a certificate"),
}
_OF_DER = {b"\x02\x01\x03": "a PKCS #12 file", b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02": "a PKCS #7 file"}
"""How the content of a file without PEM lines begins, after its length."""


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
    became spaces or the two characters `\\n`, blocks without their BEGIN or END line, a single one without both, and
    all of this in base64 once more. Raises `PemUnusable`.
    """
    return _valid(_pairs(certificate, private_key, password), now_ms)


def ends_at(certificate: str, private_key: str, password: str | None) -> int:
    """When the last of the certificates that `read_pair` chooses from ends, epoch ms. Raises `PemUnusable`."""
    pairs = _pairs(certificate, private_key, password)
    return int(max(pair.certificate.not_valid_after_utc for pair in pairs).timestamp() * 1000)


def _pairs(certificate: str, private_key: str, password: str | None) -> list[Pair]:
    """Each certificate in the two fields with the private key that it belongs to; at least one."""
    fields = (_field("certificate", certificate), _field("private_key", private_key))
    certificates = _certificates(fields)
    keys = _private_keys(fields, password)
    fitting = [Pair(each, key) for key in keys for each in certificates if each.public_key() == key.public_key()]
    if not fitting:
        raise PemUnusable(
            'The secret\'s "certificate" and "private_key" do not belong together. '
            "Store the certificate that was made for this key, or the key of this certificate."
        )
    return fitting


class _Field(Struct, frozen=True):
    """A field of the secret, taken apart."""

    blocks: tuple[_Block, ...]
    labels: frozenset[str]
    """What its BEGIN and END lines announce, also where the text between them cannot be read."""

    def __repr__(self) -> str:
        return "_Field(…)"


def _field(name: str, text: str) -> _Field:
    text = _plain(text)
    if (inner := _base64(text)) and b"-----BEGIN " in inner:
        return _field(name, inner.decode(errors="replace"))  # a whole file in base64
    bare = "CERTIFICATE" if name == "certificate" else "PRIVATE KEY"
    found = [_block(label, body) for label, body in _labelled(text, bare)]
    return _Field(tuple(block for block in found if block), frozenset(match[2] for match in re.finditer(_MARKER, text)))


def _labelled(text: str, bare: str) -> Iterator[tuple[str, str]]:
    """The texts between the lines, with what the BEGIN line before them or the END line after them says.

    `bare` is the label of a text without any such line.
    """
    pieces = re.split(_MARKER, text)  # text, word, label, text, word, label, text
    if len(pieces) == 1:
        yield bare, text
    for at in range(0, len(pieces) - 1, 3):
        if at and pieces[at - 2] == "BEGIN":
            yield pieces[at - 1], pieces[at]
        elif pieces[at + 1] == "END":
            yield pieces[at + 2], pieces[at]
    if pieces[-3:-2] == ["BEGIN"]:
        yield pieces[-2], pieces[-1]


def _plain(text: str) -> str:
    """A pasted text with real line breaks and hyphens, and without backslashes and characters that cannot be seen."""
    text = re.sub(_ESCAPED, "\n", text).replace("\\", "")
    seen = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return re.sub(_DASHES, "-----", seen)


def _base64(text: str) -> bytes | None:
    try:
        return b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None


def _block(label: str, body: str) -> _Block | None:
    legacy = re.match(_LEGACY_ENCRYPTION, body)
    der = _base64(body[legacy.end() if legacy else 0 :])
    return _Block(label, der, legacy[1] if legacy else None) if der else None


def _certificates(fields: Sequence[_Field]) -> list[Certificate]:
    from cryptography import x509

    found = []
    for block in _blocks(fields, _CERTIFICATES):
        with suppress(ValueError):
            found.append(x509.load_der_x509_certificate(_first_element(block.der)))
    if found:
        return found
    if any(field.labels.intersection(_CERTIFICATES) for field in fields):
        raise PemUnusable(
            'The secret\'s "certificate" cannot be read: its text is damaged or not complete. '
            "Store the certificate file's text again."
        )
    raise PemUnusable(
        f'The secret\'s "certificate" has no certificate in PEM form{_instead(fields[0])}. '
        "Store the text of the certificate file, from its line BEGIN CERTIFICATE to its line END CERTIFICATE."
    )


def _first_element(der: bytes) -> bytes:
    """The first element of DER: OpenSSL writes trust settings behind a `TRUSTED CERTIFICATE`."""
    if len(der) < 2 or der[1] < 0x80:
        return der[: 2 + der[1]] if len(der) > 1 else der
    head = 2 + (der[1] & 0x7F)
    return der[: head + int.from_bytes(der[2:head], "big")]


def _private_keys(fields: Sequence[_Field], password: str | None) -> list[RSAPrivateKey]:
    keys: list[RSAPrivateKey] = []
    problem = None
    for block in _blocks(fields, _KEYS):
        try:
            keys.append(_private_key(block, password))
        except PemUnusable as error:
            problem = str(error)
    if keys:
        return keys
    if problem is None and any(field.labels.intersection(_KEYS) for field in fields):
        problem = f'The secret\'s "private_key" {_DAMAGED}'
    if problem is None:
        raise PemUnusable(
            f'The secret\'s "private_key" has no private key in PEM form{_instead(fields[1])}. '
            "Store the text of the key file, from its line BEGIN PRIVATE KEY to its line END PRIVATE KEY."
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
            f'cannot be read: "private_key_password" {_wrong(given)}, or the key is damaged. Store both again.'
            if given
            else _DAMAGED
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
            "Store it again then, or store one that is valid now."
        )
    raise PemUnusable(f"The secret's certificate expired on {expiry:%Y-%m-%d}. Register a new one with Anaplan.")


def _wrong(password: bytes) -> str:
    edge = ", as it begins or ends with a space or a line break" if password != password.strip() else ""
    return f"is wrong{edge}"


def _blocks(fields: Iterable[_Field], labels: Iterable[str]) -> list[_Block]:
    """The blocks of these kinds in all fields, each once."""
    return list({block.der: block for field in fields for block in field.blocks if block.label in labels}.values())


def _instead(field: _Field) -> str:
    """What a field holds instead of what belongs there."""
    found = {_OTHERS[label] for label in field.labels if label in _OTHERS}
    if not field.labels:
        found = {name for block in field.blocks for start, name in _OF_DER.items() if start in block.der[:20]}
    return f", but {' and '.join(sorted(found))}" if found else ""
