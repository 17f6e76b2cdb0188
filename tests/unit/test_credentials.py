"""Secret to token, against an authentication service that answers by script."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7SignatureBuilder
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from anaplan_autoload.anaplan.credentials import (
    DAY_MS,
    NO_VERSION,
    BasicCredentials,
    CertificateCredentials,
    LoginRefused,
    Secret,
    SecretInvalid,
    decode_secret,
    ends_at,
)
from anaplan_autoload.anaplan.errors import AddressInvalid, NotSent, Refused, TryLater
from anaplan_autoload.anaplan.http import Limits, http_pool
from anaplan_autoload.anaplan.tokens import Tokens
from anaplan_autoload.aws.secret import secret_source
from tests.unit.scripted import Reply, Script, certificate_of, no_renewer, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.x509 import Certificate

    from anaplan_autoload.anaplan.credentials import Credentials

PASSWORD = "c4nary-p4ssword"
TOKEN = "c4nary-token"
BASIC = json.dumps({"username": "ada@example.com", "password": PASSWORD})
NOW = 1_795_554_300_000
FAR = datetime(2027, 6, 1, tzinfo=UTC)
MINUTE = 60_000
LIFE = 35 * MINUTE
BAD_CREDENTIAL = {"status": "FAILURE_BAD_CREDENTIAL", "statusMessage": "Incorrect username or password."}


class Surroundings:
    """A secret, a clock, the ledger's memory of refused versions, and an authentication service."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.now = NOW
        self.secret = Secret("v1", BASIC)
        self.readings = 0
        self.refused: set[str] = set()
        self.trouble: Exception | None = None

    def read(self) -> Secret:
        self.readings += 1
        if self.trouble is not None:
            raise self.trouble
        return self.secret

    def issue(self, value: str = TOKEN, life: object = LIFE, status: int = 201) -> Surroundings:
        """The next answer of the service is a token with so many milliseconds to live."""
        expiry = {"expiresAt": self.now + life} if isinstance(life, int) else {}
        self.script.answer(status, {"status": "SUCCESS", "tokenInfo": {"tokenValue": value, **expiry}})
        return self

    def asked(self) -> list[str]:
        """What the service was asked for: `authenticate`, `refresh`."""
        return [seen.path.rpartition("/")[2] for seen in self.script.requests]


@pytest.fixture
def world() -> Iterator[Surroundings]:
    with scripted() as script:
        yield Surroundings(script)


@pytest.fixture
def tokens(world: Surroundings) -> Iterator[Tokens]:
    with http_pool() as http:
        yield Tokens(
            http,
            f"{world.script.url}/",
            world.read,
            rejected=world.refused.__contains__,
            reject=world.refused.add,
            renewer=no_renewer,
            clock=lambda: world.now,
            limits=Limits(connect=2, read=0.3, body=10_000),
        )


# Certificates and keys.


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def pkcs7(key: rsa.RSAPrivateKey, certificate: str) -> str:
    signed = PKCS7SignatureBuilder().set_data(b"").add_signer(parsed(certificate), key, hashes.SHA256())
    return signed.sign(Encoding.PEM, []).decode()


def pkcs12(key: rsa.RSAPrivateKey, certificate: str) -> str:
    """As it is, in base64: such a file has no lines."""
    return b64encode(serialize_key_and_certificates(None, key, parsed(certificate), None, NoEncryption())).decode()


def parsed(certificate: str) -> Certificate:
    return load_pem_x509_certificate(certificate.encode())


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def other_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


# What people store, and what is sent.


def without(text: str, line: int) -> str:
    """A PEM text without its first or last line."""
    lines = text.strip().split("\n")
    del lines[line]
    return "\n".join(lines) + "\n"


def trusted(certificate: str) -> str:
    """What `openssl x509 -trustout` makes of a certificate: its settings follow the certificate's own bytes."""
    der = b64decode("".join(certificate.split("\n")[1:-2])) + b"\x30\x05\x0c\x03abc"
    return f"-----BEGIN TRUSTED CERTIFICATE-----\n{b64encode(der).decode()}\n-----END TRUSTED CERTIFICATE-----\n"


def pasted(certificate: str, private: str, other: str) -> dict[str, tuple[str, str]]:
    """How a certificate and its key get into the two fields; `other` is a certificate that is not the key's."""
    both = private + certificate
    body, key_body = ("".join(text.split("\n")[1:-2]) for text in (certificate, private))
    bags = "Bag Attributes\n    friendlyName: autoload\n    localKeyID: 01 02\nsubject=CN = autoload\n"
    return {
        "each in its field": (certificate, private),
        "both in both": (both, both),
        "both in the certificate's": (both, ""),
        "both in the key's": ("", certificate + private),
        "swapped": (private, certificate),
        "with bag attributes": (bags + both, bags + private),
        "a chain with its root first": (other + certificate, private),
        "a chain with its root last": (certificate + other, private),
        "on one line": (certificate.replace("\n", " "), private.replace("\n", " ")),
        "without any blank": (certificate.replace("\n", ""), private.replace("\n", "")),
        "with backslash and n": (certificate.replace("\n", "\\n"), private.replace("\n", "\\n")),
        "with backslash, r and n": (certificate.replace("\n", "\\r\\n"), private.replace("\n", "\\r\\n")),
        "with carriage returns": (certificate.replace("\n", "\r\n"), private.replace("\n", "\r\n")),
        "indented": (certificate.replace("\n", "\n    "), private.replace("\n", "\n    ")),
        "without BEGIN and END": (body, key_body),
        "without BEGIN": (without(certificate, 0), without(private, 0)),
        "without END": (without(certificate, -1), without(private, -1)),
        "both in both, without BEGIN": (without(private, 0) + without(certificate, 0),) * 2,
        "both in both, without END": (without(certificate, -1) + without(private, -1),) * 2,
        "escaped twice": (certificate.replace("\n", "\\\\n"), private.replace("\n", "\\\\r\\\\n")),
        "with tabs as two characters": (certificate.replace("\n", "\n\\t"), private.replace("\n", "\\n\\t")),
        "with escaped slashes": (certificate.replace("/", "\\/"), private.replace("/", "\\/")),
        "with characters of no width": (certificate.replace("\n", "\u200b\n\u2060"), private.replace("\n", "\u00ad\n")),
        "with dashes for hyphens": (certificate.replace("--", "\u2014"), private.replace("-----", "\u2013\u2013")),
        "in base64 once more": (b64encode(certificate.encode()).decode(), b64encode(both.encode()).decode()),
        "as OpenSSL trusts it": (trusted(certificate), private),
        "with a byte order mark": ("\ufeff" + certificate, "\ufeff" + private),
    }


@pytest.mark.parametrize("form", pasted("", "", ""))
@pytest.mark.parametrize("encryption", ["none", "PKCS 8", "OpenSSL"])
def test_only_the_certificate_of_the_key_is_sent_however_the_secret_is_pasted(
    world: Surroundings,
    tokens: Tokens,
    key: rsa.RSAPrivateKey,
    other_key: rsa.RSAPrivateKey,
    form: str,
    encryption: str,
) -> None:
    if form in ("without BEGIN and END", "without any blank") and encryption == "OpenSSL":
        pytest.skip("the headers that OpenSSL's older form needs are lost with the lines")
    certificate = certificate_of(key, FAR)
    old = PrivateFormat.TraditionalOpenSSL
    private = {
        "none": pem(key),
        "PKCS 8": pem(key, b"passphrase"),
        "OpenSSL": key.private_bytes(Encoding.PEM, old, BestAvailableEncryption(b"passphrase")).decode(),
    }[encryption]
    stored = dict(
        zip(
            ("certificate", "private_key"),
            pasted(certificate, private, certificate_of(other_key, FAR))[form],
            strict=True,
        )
    )
    if encryption != "none":
        stored["private_key_password"] = "passphrase"
    world.secret = Secret("v1", "\ufeff" + json.dumps({name: text or " " for name, text in stored.items()}))
    if not all(stored.values()):
        with pytest.raises(SecretInvalid, match="empty"):
            tokens.token()
        return
    world.issue()

    assert tokens.token() == TOKEN

    (request,) = world.script.requests
    scheme, encoded = request.authorization.split()
    assert (scheme, b64decode(encoded).decode()) == ("CACertificate", certificate)


def test_a_password_that_cannot_be_encoded_is_refused_and_not_shown(key: rsa.RSAPrivateKey) -> None:
    credentials = CertificateCredentials(certificate_of(key, FAR), pem(key, b"right"), f"\udc80{PASSWORD}")
    with pytest.raises(SecretInvalid, match='"private_key_password" is wrong') as caught:
        credentials.login(NOW)
    assert_hidden(caught.value)


def test_the_valid_one_of_two_certificates_is_sent(world: Surroundings, tokens: Tokens, key: rsa.RSAPrivateKey) -> None:
    today = datetime.fromtimestamp(NOW / 1000, UTC)
    expired, valid, longer, early = (certificate_of(key, today + timedelta(days=days)) for days in (-1, 100, 200, 500))
    world.secret = Secret("v1", json.dumps({"certificate": early + valid + longer + expired, "private_key": pem(key)}))
    world.issue()

    tokens.token()

    assert b64decode(world.script.requests[0].authorization.split()[1]).decode() == longer


@pytest.mark.parametrize(("days", "left"), [((-1, 100, 200), 200), ((5,), 5), ((-3, -1), -1)])
def test_a_certificate_says_when_the_log_in_ends(key: rsa.RSAPrivateKey, days: tuple[int, ...], left: int) -> None:
    today = datetime.fromtimestamp(NOW / 1000, UTC)
    chain = "".join(certificate_of(key, today + timedelta(days=each)) for each in days)

    end = ends_at(Secret("v1", json.dumps({"certificate": chain, "private_key": pem(key)})), password_days=90)

    assert end is not None and (end - NOW) / DAY_MS == pytest.approx(left, abs=0.01)


@pytest.mark.parametrize(
    ("stored_at", "password_days", "end"),
    [(NOW, 90, NOW + 90 * DAY_MS), (NOW, 0, None), (None, 90, None)],
    ids=["known", "nobody says for how long", "stored nobody knows when"],
)
def test_a_password_ends_some_days_after_it_was_stored(
    stored_at: int | None, password_days: int, end: int | None
) -> None:
    assert ends_at(Secret("v1", BASIC, stored_at), password_days) == end


def test_the_end_of_a_secret_that_cannot_be_used_is_not_guessed(key: rsa.RSAPrivateKey) -> None:
    with pytest.raises(SecretInvalid) as caught:
        ends_at(Secret("v1", json.dumps({"certificate": "junk", "private_key": pem(key)})), password_days=90)
    assert_hidden(caught.value)


@given(
    pieces=st.lists(st.sampled_from(["key", "certificate", "junk", "begin", "blank"]), max_size=6),
    more=st.lists(st.sampled_from(["key", "certificate", "junk", "begin", "blank"]), max_size=6),
    glue=st.sampled_from(["\n", " ", "\\n", ""]),
)
def test_no_input_makes_a_private_key_leave_in_the_header(pieces: list[str], more: list[str], glue: str) -> None:
    private = pem(A_KEY)
    parts = {
        "key": private,
        "certificate": certificate_of(A_KEY, FAR),
        "junk": "MIIB",
        "begin": "-----BEGIN CERTIFICATE-----",
        "blank": "\n",
    }
    fields = [glue.join(parts[each] for each in chosen).replace("\n", glue or "\n") for chosen in (pieces, more)]

    with suppress(SecretInvalid):
        login = CertificateCredentials(*fields).login(NOW)
        sent = b64decode(login.authorization.split()[1]).decode()
        assert sent == parts["certificate"]


A_KEY = rsa.generate_private_key(65537, 2048)


# The secret's two forms.


@pytest.mark.parametrize(
    ("fields", "credentials"),
    [
        ({"username": "a", "password": "p:ü"}, BasicCredentials("a", "p:ü")),
        ({"certificate": "c", "private_key": "k"}, CertificateCredentials("c", "k")),
        (
            {"certificate": "c", "private_key": "k", "private_key_password": "p"},
            CertificateCredentials("c", "k", "p"),
        ),
        (
            {"certificate": "c", "private_key": "k", "private_key_password": None},
            CertificateCredentials("c", "k"),
        ),
    ],
)
def test_both_forms_of_the_secret_are_read(fields: dict[str, str | None], credentials: Credentials) -> None:
    assert decode_secret(json.dumps(fields)) == credentials


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        PASSWORD,
        f"{{{PASSWORD}",
        f'"{PASSWORD}"',
        f'["{PASSWORD}"]',
        "{}",
        "null",
        "[" * 100_000,
        f"\udc80{PASSWORD}",
        json.dumps({"username": PASSWORD}),
        json.dumps({"username": "a", "password": ""}),
        json.dumps({"username": "", "password": PASSWORD}),
        json.dumps({"username": "a:b", "password": PASSWORD}),
        json.dumps({"username": "a", "password": PASSWORD, "otp": PASSWORD}),
        json.dumps({"username": "a", "password": [PASSWORD]}),
        json.dumps({"username": "a", "password": PASSWORD, "certificate": "c", "private_key": "k"}),
        json.dumps({"certificate": PASSWORD, "private_key": ""}),
        json.dumps({"certificate": "c", "private_key": "k", PASSWORD: 1}),
    ],
)
def test_any_other_secret_is_refused_with_both_forms_named_and_nothing_shown(text: str) -> None:
    with pytest.raises(SecretInvalid) as caught:
        decode_secret(text)
    assert '"username"' in str(caught.value)
    assert '"private_key"' in str(caught.value)
    assert_hidden(caught.value)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"Username": "a", "password": "p"}, 'field "username" is spelled differently'),
        ({"user name": "a", "password": "p"}, "1 field too many"),
        ({"username": "a", "password": "p", "otp": "1"}, 'too many: "otp"'),
        ({"username": "a", "password": "p", "hunter2": "", "note": ""}, '2 fields too many: "note"'),
        ({"user": "a", "password": "p"}, '1 field too many: "user", and lacks "username"'),
        ({"certificate": "c", "key": "k"}, '1 field too many: "key", and lacks "private_key"'),
        ({"username": "a", "password": "p", "private_key_password": ""}, "mixes a password and a certificate"),
        ({"username": "a", "password": "p\0"}, '"password" has a line break or another control character'),
        ({"username": "a\u200b", "password": "p"}, '"username" has a character that cannot be seen'),
        ({"username": '"a"', "password": '"p"'}, '"username" has quotation marks around it'),
        ({"username": None, "password": 7.5}, '"username" and "password" are not text'),
        ({"username": "a"}, 'lacks "password"'),
        ({"certificate": "c", "private_key_password": "p"}, 'lacks "private_key"'),
        ({"username": "a", "password": 7}, '"password" is not text'),
        ({"username": "a", "password": ""}, '"password" is empty'),
        ({"username": "a\n", "password": "p"}, '"username" has a line break'),
        ({"username": " a", "password": "p"}, '"username" begins or ends with a space'),
        ({"username": "a", "password": "p\r\n"}, '"password" has a line break'),
        ({"username": "a", "password": "p "}, '"password" begins or ends with a space'),
        ({"username": "a:b", "password": "p"}, '"username" has a colon'),
        ({"username": "a", "password": "p", "certificate": "c", "private_key": "k"}, "mixes a password and a cert"),
    ],
)
def test_what_is_wrong_with_a_secret_is_named(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(SecretInvalid, match=problem):
        decode_secret(json.dumps(fields))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{'username': 'a', 'password': 'p'}", "quotation marks are not JSON"),
        ("{\u201cusername\u201d: \u201ca\u201d}", "quotation marks are not JSON"),
        (json.dumps(BASIC), "a JSON text, not a JSON object"),
        (f"'{BASIC}'", "without quotation marks around it"),
        (f"\u201c{BASIC}\u201d", "without quotation marks around it"),
        (BASIC.replace('"', '\\"'), "have backslashes before them"),
        (BASIC.replace('"ada@example.com"', "\u201cada@example.com\u201d"), "quotation marks are not JSON"),
        ("[1]", "not an object"),
        ("7", "not an object"),
        ("null", "not an object"),
        ("username=a", "not JSON"),
    ],
)
def test_a_secret_that_is_not_a_json_object_says_so(text: str, problem: str) -> None:
    with pytest.raises(SecretInvalid, match=problem):
        decode_secret(text)


@pytest.mark.parametrize(("before", "after"), [("\ufeff\ufeff", ""), ("\n\ufeff", "\0"), ("\u200b", "\r\n\0\0")])
def test_marks_and_blanks_around_the_object_do_no_harm(before: str, after: str) -> None:
    assert decode_secret(before + BASIC + after) == BasicCredentials("ada@example.com", PASSWORD)


@pytest.mark.parametrize("status", [401, 403])
def test_a_gateways_page_is_not_taken_for_a_refused_log_in(world: Surroundings, tokens: Tokens, status: int) -> None:
    world.script.page(status)
    with pytest.raises((TryLater, Refused)) as caught:
        tokens.token()
    assert not isinstance(caught.value, LoginRefused)
    assert world.refused == set()


def assert_hidden(error: BaseException, *secrets: str) -> None:
    chain: BaseException | None = error
    while chain is not None:
        shown = f"{chain} {chain!r} {chain.args} {vars(chain)}"
        for secret in (PASSWORD, TOKEN, *secrets):
            assert secret not in shown
        chain = chain.__cause__ or chain.__context__


def test_credentials_and_secrets_do_not_show_what_they_hold() -> None:
    basic = BasicCredentials("ada", PASSWORD)
    certificate = CertificateCredentials(PASSWORD, PASSWORD, PASSWORD)
    secret = Secret("v1", BASIC)
    assert repr(secret) == "Secret(version='v1')"
    for value in (basic, certificate, secret, basic.login(NOW)):
        assert PASSWORD not in f"{value} {value!r} {value.__rich_repr__()}"


def test_importing_the_module_loads_neither_cryptography_nor_boto3() -> None:
    check = (
        "import sys; import anaplan_autoload.anaplan.credentials, anaplan_autoload.anaplan.cloudworks; "
        "print({'cryptography', 'boto3', 'botocore'} & sys.modules.keys())"
    )
    source = str(Path(__file__).parents[2] / "src")
    printed = subprocess.check_output([sys.executable, "-c", check], env={"PYTHONPATH": source}, text=True)  # noqa: S603
    assert printed == "set()\n"


# Logging in.


def test_a_password_logs_in(world: Surroundings, tokens: Tokens) -> None:
    world.issue()
    assert tokens.token() == TOKEN
    assert tokens.secret_version == "v1"
    (request,) = world.script.requests
    assert (request.method, request.path, request.body) == ("POST", "/token/authenticate", b"")
    scheme, encoded = request.authorization.split()
    assert (scheme, b64decode(encoded).decode()) == ("Basic", f"ada@example.com:{PASSWORD}")


@pytest.mark.parametrize("password", [None, "k3y"])
def test_a_certificate_logs_in_with_a_new_signature_each_time(
    world: Surroundings, tokens: Tokens, key: rsa.RSAPrivateKey, password: str | None
) -> None:
    certificate = certificate_of(key, FAR)
    fields = {"certificate": certificate, "private_key": pem(key, password.encode() if password else None)}
    world.secret = Secret("v1", json.dumps(fields | ({"private_key_password": password} if password else {})))
    world.issue().issue("other")
    assert tokens.token() == TOKEN
    assert tokens.token(fresh=True) == "other"
    signed = set()
    for request in world.script.requests:
        scheme, encoded = request.authorization.split()
        assert (scheme, b64decode(encoded).decode()) == ("CACertificate", certificate)
        assert request.headers["content-type"] == "application/json"
        body = json.loads(request.body)
        assert body.keys() == {"encodedData", "encodedSignedData", "encodedDataFormat"}
        assert body["encodedDataFormat"] == "v2"
        data = b64decode(body["encodedData"])
        assert (len(data), int.from_bytes(data[:8], "big")) == (100, NOW // 1000)
        key.public_key().verify(b64decode(body["encodedSignedData"]), data, PKCS1v15(), hashes.SHA512())
        signed.add(data)
    assert len(signed) == 2


def test_certificates_that_cannot_work_are_refused_before_anything_is_sent(
    world: Surroundings, tokens: Tokens, key: rsa.RSAPrivateKey, other_key: rsa.RSAPrivateKey
) -> None:
    good, private = certificate_of(key, FAR), pem(key)
    expired = certificate_of(key, datetime.fromtimestamp(NOW / 1000, UTC) - timedelta(days=1))
    early = certificate_of(key, datetime.fromtimestamp(NOW / 1000, UTC) + timedelta(days=400))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    cases: list[tuple[str, str, str | None, str]] = [
        ("no PEM", private, None, "no certificate in PEM form"),
        ("a word", private, None, r"no certificate in PEM form\."),
        (private, private, None, "no certificate in PEM form, but a private key"),
        (good[:400], private, None, '"certificate" cannot be read: its text is damaged'),
        (good.replace("\n", "<br>"), private, None, '"certificate" cannot be read: its text is damaged'),
        (pkcs7(key, good), private, None, "no certificate in PEM form, but a PKCS #7 file"),
        (pkcs12(key, good), private, None, "no certificate in PEM form, but a PKCS #12 file"),
        (good, "no PEM", None, r"no private key in PEM form\."),
        (good, good, None, "no private key in PEM form, but a certificate"),
        (good, private[:400], None, '"private_key" cannot be read: its text is damaged'),
        (good, public, None, "no private key in PEM form, but a public key"),
        (good, private.replace("A", "!"), None, "no private key in PEM form"),
        (good, pem(key, b"right"), None, 'is encrypted. Add its password to the secret as "private_key_password"'),
        (good, pem(key, b"right"), "wr0ng", '"private_key_password" is wrong, or'),
        (good, pem(key, b"right"), "right\n", "begins or ends with a space or a line break"),
        (good, private, "needless", 'is not encrypted. Leave "private_key_password" out'),
        (good, pem(ec.generate_private_key(ec.SECP256R1())), None, "not an RSA key"),
        (good, pem(other_key), None, "do not belong together"),
        (expired, private, None, "expired on 2026-11-23"),
        (early, private, None, "not valid before 2026-12-29.*Store it again then, or"),
    ]
    for certificate, private_key, password, reason in cases:
        fields = {"certificate": certificate, "private_key": private_key, "private_key_password": password}
        world.secret = Secret("v2", json.dumps(fields))
        with pytest.raises(SecretInvalid, match=reason) as caught:
            tokens.token()
        assert caught.value.version == "v2"
        assert_hidden(
            caught.value, "wr0ng", "needless", private_key[30:90] if len(private_key) > 90 else "no PEM at all"
        )
    assert world.script.requests == []
    assert world.refused == set()


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_log_in_is_noted_and_not_repeated(world: Surroundings, tokens: Tokens, status: int) -> None:
    world.script.answer(status, BAD_CREDENTIAL)
    with pytest.raises(LoginRefused, match="FAILURE_BAD_CREDENTIAL: Incorrect username or password") as first:
        tokens.token()
    assert world.refused == {"v1"}
    for fresh in (False, True):
        with pytest.raises(LoginRefused, match="not sent again") as later:
            tokens.token(fresh)
        assert first.value.version == later.value.version == "v1"
    assert world.asked() == ["authenticate"]


def test_a_version_that_somebody_else_had_refused_is_not_sent(world: Surroundings, tokens: Tokens) -> None:
    world.refused.add("v1")
    with pytest.raises(LoginRefused, match="v1"):
        tokens.token()
    assert world.script.requests == []


def test_a_corrected_secret_logs_in_at_once(world: Surroundings, tokens: Tokens) -> None:
    world.refused.add("v1")
    with pytest.raises(LoginRefused):
        tokens.token()
    world.secret = Secret("v2", BASIC)
    world.issue()
    assert tokens.token() == TOKEN
    assert tokens.secret_version == "v2"


def test_a_bad_secret_is_a_refused_log_in_of_its_version(world: Surroundings, tokens: Tokens) -> None:
    world.secret = Secret("v7", "")
    with pytest.raises(LoginRefused, match=r"empty.*Loading resumes") as caught:
        tokens.token()
    assert isinstance(caught.value, SecretInvalid)
    assert caught.value.version == "v7"
    assert world.script.requests == []


ECHO = {"status": "FAILURE", "statusMessage": f"{PASSWORD} Basic YWRhQGV4YW1wbGUuY29tOmM0bmFyeS1wNHNzd29yZA=="}


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_an_echo_of_the_password_is_not_shown(world: Surroundings, tokens: Tokens, status: int) -> None:
    world.script.answer(status, ECHO)
    with pytest.raises((LoginRefused, Refused, TryLater)) as caught:
        tokens.token()
    assert_hidden(caught.value, "YWRhQGV4YW1wbGUuY29tOmM0bmFyeS1wNHNzd29yZA")


@pytest.mark.parametrize("status", [401, 404, 500])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_an_echo_of_the_password_in_another_encoding_is_not_shown(
    world: Surroundings, tokens: Tokens, status: int, encoding: str
) -> None:
    world.secret = Secret("v1", json.dumps({"username": "ada@example.com", "password": f"{PASSWORD}é"}))
    body = json.dumps({"status": "FAILURE", "statusMessage": f"{PASSWORD}é is wrong"}, ensure_ascii=False)
    world.script.reply(Reply(status, body.encode(encoding), {"Content-Type": "application/json"}))
    with pytest.raises((LoginRefused, Refused, TryLater)) as caught:
        tokens.token()
    assert isinstance(caught.value, LoginRefused) == (status == 401)
    assert_hidden(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(lost=True),
        Reply(stalls=True),
        Reply(429, headers={"Retry-After": "11"}),
        Reply(500),
        Reply(503),
        Reply(201, b"<html>", {"Content-Type": "text/html"}),
        Reply(201, b'{"tokenInfo": {"tokenValue": "c4na'),
        Reply(201, b'{"tokenInfo": {}}'),
        Reply(201, b'{"tokenInfo": {"tokenValue": ""}}'),
        Reply(201, b'{"tokenInfo": {"tokenValue": 7}}'),
        Reply(201, b'{"tokenInfo": {"tokenValue": "c4nary-token\\r\\nX-Evil: 1"}}'),
        Reply(201, '{"tokenInfo": {"tokenValue": "c4nary-token-é€"}}'.encode()),
        Reply(201, b" " * 10_001),
        Reply(201, b"{", missing=10),
        Reply(302, headers={"Location": "/elsewhere"}),
    ],
)
def test_trouble_at_the_authentication_service_is_tried_later_not_again(
    world: Surroundings, tokens: Tokens, reply: Reply
) -> None:
    world.script.reply(reply)
    with pytest.raises(TryLater) as caught:
        tokens.token()
    assert caught.value.retry_after == (11 if reply.status == 429 else None)
    assert world.asked() == ["authenticate"]
    assert world.refused == set()
    assert_hidden(caught.value)


def test_a_wrong_authentication_url_is_named(world: Surroundings, tokens: Tokens) -> None:
    world.script.page(404)
    with pytest.raises(TryLater, match="ANAPLAN_AUTH_URL"):
        tokens.token()


def test_an_authentication_service_that_cannot_be_reached_was_sent_nothing() -> None:
    with scripted() as script:
        url = script.url
    with http_pool() as http:
        tokens = Tokens(
            http, url, lambda: Secret("v1", BASIC), rejected=lambda _: False, reject=lambda _: None, renewer=no_renewer
        )
        with pytest.raises(NotSent):
            tokens.token()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_credentials_do_not_follow_a_redirect(world: Surroundings, tokens: Tokens, status: int) -> None:
    with scripted() as stranger:
        world.script.reply(Reply(status, headers={"Location": f"{stranger.url}/token/authenticate"}))
        with pytest.raises(TryLater, match="not followed"):
            tokens.token()
        assert stranger.requests == []


@pytest.mark.parametrize("url", ["http://auth.anaplan.com", "https://u:p@auth.anaplan.com", "auth.anaplan.com"])
def test_a_url_that_is_not_safe_for_credentials_is_refused(url: str) -> None:
    with http_pool() as http, pytest.raises(AddressInvalid):
        Tokens(
            http, url, lambda: Secret("v1", BASIC), rejected=lambda _: False, reject=lambda _: None, renewer=no_renewer
        )


# Keeping a token.


def test_a_token_is_kept(world: Surroundings, tokens: Tokens) -> None:
    world.issue()
    assert [tokens.token() for _ in range(3)] == [TOKEN] * 3
    assert (world.asked(), world.readings) == (["authenticate"], 1)


def test_a_fresh_token_comes_from_a_new_log_in(world: Surroundings, tokens: Tokens) -> None:
    world.issue("old").issue("new")
    assert [tokens.token(), tokens.token(fresh=True), tokens.token()] == ["old", "new", "new"]
    assert (world.asked(), world.readings) == (["authenticate"] * 2, 2)


@pytest.mark.parametrize("refreshed", [TOKEN, "another"])
def test_a_token_is_refreshed_before_it_expires(world: Surroundings, tokens: Tokens, refreshed: str) -> None:
    world.issue()
    tokens.token()
    world.now += LIFE - MINUTE
    world.issue(refreshed, status=200)
    assert [tokens.token(), tokens.token()] == [refreshed] * 2
    assert world.asked() == ["authenticate", "refresh"]
    assert world.script.requests[1].authorization == f"AnaplanAuthToken {TOKEN}"


@pytest.mark.parametrize("reply", [Reply(401), Reply(400), Reply(500), Reply(lost=True), Reply(200, b"{}")])
def test_a_refresh_that_fails_gives_way_to_a_log_in(world: Surroundings, tokens: Tokens, reply: Reply) -> None:
    world.issue()
    tokens.token()
    world.now += LIFE - MINUTE
    world.script.reply(reply)
    world.issue("new")
    assert tokens.token() == "new"
    assert world.asked() == ["authenticate", "refresh", "authenticate"]
    assert world.refused == set()


def test_an_expired_token_is_not_refreshed(world: Surroundings, tokens: Tokens) -> None:
    world.issue()
    tokens.token()
    world.now += LIFE
    world.issue("new")
    assert tokens.token() == "new"
    assert world.asked() == ["authenticate"] * 2


def test_a_token_without_an_expiry_lives_as_long_as_documented(world: Surroundings, tokens: Tokens) -> None:
    world.issue(life=None)
    tokens.token()
    world.now += 27 * MINUTE
    assert tokens.token() == TOKEN
    world.now += 4 * MINUTE
    world.issue("new")
    assert tokens.token() == "new"


@pytest.mark.parametrize("expiry", ["soon", None, [], {}, True, 1, -5, 1.5, 10**14, 10**20, "9" * 5000, NOW])
def test_an_expiry_in_the_past_causes_no_second_log_in(world: Surroundings, tokens: Tokens, expiry: object) -> None:
    world.script.answer(201, {"tokenInfo": {"tokenValue": TOKEN, "expiresAt": expiry}})
    assert [tokens.token(), tokens.token()] == [TOKEN, TOKEN]
    assert world.asked() == ["authenticate"]


def test_the_secret_is_read_for_log_ins_and_renewals_alone(world: Surroundings, tokens: Tokens) -> None:
    world.issue()
    for _ in range(30):
        tokens.token()
        world.now += MINUTE
    assert (world.readings, world.asked()) == (1, ["authenticate"])
    world.now += 4 * MINUTE
    world.issue(status=200)
    tokens.token()
    assert (world.readings, world.asked()) == (2, ["authenticate", "refresh"])


def test_for_a_run_the_secret_is_read_again_every_five_minutes(world: Surroundings, tokens: Tokens) -> None:
    world.issue()
    for _ in range(11):
        tokens.token(current=True)
        world.now += MINUTE
    assert (world.readings, world.asked()) == (3, ["authenticate"])


def test_a_changed_secret_counts_from_the_next_run_on(world: Surroundings, tokens: Tokens) -> None:
    world.issue()
    tokens.token()
    world.secret = Secret("v2", json.dumps({"username": "bea", "password": "other"}))
    world.issue("new")
    assert tokens.token(current=True) == TOKEN
    world.now += 5 * MINUTE
    assert tokens.token() == TOKEN
    assert tokens.token(current=True) == "new"
    assert b64decode(world.script.requests[-1].authorization.split()[1]) == b"bea:other"


@pytest.mark.parametrize("minutes", [34, 35])
def test_a_changed_secret_counts_when_the_token_ends(world: Surroundings, tokens: Tokens, minutes: int) -> None:
    world.issue()
    tokens.token()
    world.secret = Secret("v2", BASIC)
    world.now += minutes * MINUTE
    world.issue("new")
    assert tokens.token() == "new"
    assert world.asked() == ["authenticate"] * 2


@pytest.mark.parametrize(("minutes", "current"), [(10, True), (34, False)])
def test_a_valid_token_outlasts_trouble_of_secrets_manager(
    world: Surroundings, tokens: Tokens, minutes: int, current: bool
) -> None:
    world.issue()
    tokens.token()
    world.trouble = TryLater("Secrets Manager is busy")
    world.now += minutes * MINUTE
    assert tokens.token(current=current) == TOKEN
    world.now += LIFE
    with pytest.raises(TryLater):
        tokens.token()


# Secrets Manager.


@mock_aws
def test_a_secret_is_read_with_its_version_from_text_and_from_binary() -> None:
    client = boto3.client("secretsmanager")
    text = client.create_secret(Name="text", SecretString=BASIC)
    binary = client.create_secret(Name="binary", SecretBinary=BASIC.encode())
    for name, stored in {"text": text, "binary": binary}.items():
        found = secret_source(client, name)()
        assert (found.version, found.text) == (stored["VersionId"], BASIC)
        assert found.stored_at is not None and abs(found.stored_at - time.time() * 1000) < MINUTE


@mock_aws
def test_a_secret_that_was_created_empty_says_what_to_store() -> None:
    client = boto3.client("secretsmanager")
    client.create_secret(Name="anaplan")
    with pytest.raises(SecretInvalid, match=r'anaplan has no value.*"username"') as caught:
        secret_source(client, "anaplan")()
    assert caught.value.version == NO_VERSION


@mock_aws
def test_a_secret_that_is_marked_for_deletion_says_how_to_restore_it() -> None:
    client = boto3.client("secretsmanager")
    client.create_secret(Name="anaplan", SecretString=BASIC)
    client.delete_secret(SecretId="anaplan")
    with pytest.raises(SecretInvalid, match="aws secretsmanager restore-secret --secret-id anaplan"):
        secret_source(client, "anaplan")()


@mock_aws
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_secret_that_an_editor_of_windows_saved_is_read(encoding: str) -> None:
    client = boto3.client("secretsmanager")
    client.create_secret(Name="anaplan", SecretBinary=BASIC.encode(encoding))
    assert decode_secret(secret_source(client, "anaplan")().text) == BasicCredentials("ada@example.com", PASSWORD)


@pytest.mark.parametrize("code", ["AccessDeniedException", "DecryptionFailure"])
def test_a_secret_that_may_not_be_read_names_the_right_that_is_missing(world: Surroundings, code: str) -> None:
    client = boto3.client("secretsmanager", endpoint_url=world.script.url)
    world.script.answer(400, {"__type": code, "message": "no"})
    with pytest.raises(SecretInvalid, match="secretsmanager:GetSecretValue"):
        secret_source(client, "anaplan")()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("InvalidParameterException", "Invalid name."),
        ("UnrecognizedClientException", "The security token included in the request is invalid."),
        ("OptInRequired", "Not signed up"),
        ("AWordNobodyKnows", ""),
    ],
)
def test_a_refusal_by_secrets_manager_for_good_holds_with_its_words(world: Surroundings, code: str, said: str) -> None:
    client = boto3.client("secretsmanager", endpoint_url=world.script.url)
    world.script.answer(400, {"__type": code, "message": said})
    with pytest.raises(SecretInvalid, match=f"refused to return the secret anaplan: .*{code}") as caught:
        secret_source(client, "anaplan")()
    assert said.removesuffix(".") in caught.value.reason and caught.value.version == NO_VERSION


@pytest.mark.parametrize(
    ("status", "code"), [(400, "LimitExceededException"), (500, "InternalServiceError"), (503, "AWordNobodyKnows")]
)
def test_trouble_of_secrets_managers_own_is_tried_later(world: Surroundings, status: int, code: str) -> None:
    client = boto3.client("secretsmanager", endpoint_url=world.script.url, config=Config(retries={"max_attempts": 0}))
    world.script.answer(status, {"__type": code, "message": "slow"})
    with pytest.raises(TryLater, match=code):
        secret_source(client, "anaplan")()


def test_a_proxys_answer_in_secrets_managers_place_is_tried_later(world: Surroundings) -> None:
    client = boto3.client("secretsmanager", endpoint_url=world.script.url, config=Config(retries={"max_attempts": 0}))
    world.script.page(200)
    with pytest.raises(TryLater, match="answer for anaplan has no version"):
        secret_source(client, "anaplan")()


def test_trouble_at_secrets_manager_is_tried_later(world: Surroundings) -> None:
    config = Config(retries={"max_attempts": 0})
    client = boto3.client("secretsmanager", endpoint_url=world.script.url, config=config)
    world.script.answer(400, {"__type": "ThrottlingException", "message": "slow"})
    with pytest.raises(TryLater, match="ThrottlingException"):
        secret_source(client, "anaplan")()
    world.script.reply(Reply(lost=True))
    with pytest.raises(TryLater, match="could not be reached"):
        secret_source(client, "anaplan")()
