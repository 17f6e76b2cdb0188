"""Log-ins with a certificate."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from local.cloudworks import USERNAME
from tests.unit.simulator.client import NOON, Anaplan, packed


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    """A private key."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def certificate(key: RSAPrivateKey) -> bytes:
    """A certificate for it, in PEM."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "autoload")])
    now = datetime.fromtimestamp(NOON, UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def with_certificate(anaplan: Anaplan, certificate: bytes) -> Anaplan:
    """The user may log in with the certificate."""
    user = anaplan.simulator.tenant.users[USERNAME]
    anaplan.simulator.add_user(replace(user, certificate=certificate.decode()))
    return anaplan


def signed(key: RSAPrivateKey, data: bytes) -> dict[str, str]:
    """The body of a log-in."""
    signature = key.sign(data, PKCS1v15(), SHA512())
    return {"encodedData": packed(data), "encodedSignedData": packed(signature), "encodedDataFormat": "v2"}


def version_2(at: float, filler: bytes = b"r") -> bytes:
    """100 bytes: the time, and what should be random."""
    return struct.pack(">Q", int(at)) + filler * 92


def present(anaplan: Anaplan, certificate: bytes, body: object) -> int:
    """Log in with a certificate; returns the status."""
    header = f"CACertificate {packed(certificate)}"
    return anaplan.send("POST", "/token/authenticate", body, Authorization=header).status


def test_a_certificate_logs_in_with_signed_time_and_random_bytes(
    with_certificate: Anaplan, key: RSAPrivateKey, certificate: bytes
) -> None:
    assert present(with_certificate, certificate, signed(key, version_2(NOON))) == 201


def test_the_same_signed_bytes_do_not_log_in_twice(
    with_certificate: Anaplan, key: RSAPrivateKey, certificate: bytes
) -> None:
    body = signed(key, version_2(NOON))
    assert [present(with_certificate, certificate, body) for _ in range(2)] == [201, 401]


@pytest.mark.parametrize(
    "data",
    [version_2(NOON - 601), version_2(NOON + 601), version_2(NOON)[:99], b"r" * 100],
    ids=["too old", "too new", "too short", "version 1"],
)
def test_signed_bytes_of_another_form_or_time_are_refused(
    with_certificate: Anaplan, key: RSAPrivateKey, certificate: bytes, data: bytes
) -> None:
    assert present(with_certificate, certificate, signed(key, data)) == 401


def test_a_signature_over_other_bytes_is_refused(
    with_certificate: Anaplan, key: RSAPrivateKey, certificate: bytes
) -> None:
    body = signed(key, version_2(NOON)) | {"encodedData": packed(version_2(NOON, b"x"))}
    assert present(with_certificate, certificate, body) == 401


def test_an_unregistered_certificate_is_refused(anaplan: Anaplan, key: RSAPrivateKey, certificate: bytes) -> None:
    assert present(anaplan, certificate, signed(key, version_2(NOON))) == 401


def test_an_expired_certificate_is_refused(with_certificate: Anaplan, key: RSAPrivateKey, certificate: bytes) -> None:
    with_certificate.clock.time += 2 * 24 * 3600
    now = with_certificate.clock.time
    assert present(with_certificate, certificate, signed(key, version_2(now))) == 401
