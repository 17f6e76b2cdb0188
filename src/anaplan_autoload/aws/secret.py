"""Reads the secret from Secrets Manager, and writes it when a refresh token was replaced."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import ClientError

from anaplan_autoload.anaplan.credentials import SHAPES, Secret, SecretInvalid
from anaplan_autoload.anaplan.errors import CloudWorksError, TryLater
from anaplan_autoload.aws.refusals import AWS_TROUBLE, code_of, in_words, may_heal

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_secretsmanager import SecretsManagerClient

_MISSING = ("ResourceNotFoundException", "InvalidRequestException")
_FORBIDDEN = ("AccessDeniedException", "DecryptionFailure")
_KMS = ("EncryptionFailure",)
_TOO_MANY_VERSIONS = "LimitExceededException"
_ARN = re.compile(r"arn:[^:]+:secretsmanager:[^:]*:[^:]*:secret:(.+?)(?:-[A-Za-z0-9]{6})?")
REHEARSAL = "AUTOLOAD-REHEARSAL"
"""The staging label of versions that nobody uses."""


def secret_name(secret_id: str) -> str:
    """A secret's name, from its name or its ARN. An ARN ends with a dash and six more characters."""
    arn = _ARN.fullmatch(secret_id)
    return arn[1] if arn else secret_id


def secret_source(client: SecretsManagerClient, secret_id: str) -> Callable[[], Secret]:
    """Read a secret from Secrets Manager, as text or as binary.

    The function that it returns raises `SecretInvalid` if the secret has no value or Secrets Manager refuses to return
    it, and `TryLater` if Secrets Manager cannot be reached or is in trouble.
    """

    def read() -> Secret:
        try:
            answer = client.get_secret_value(SecretId=secret_id)
        except ClientError as error:
            raise _unreadable(secret_id, error) from error
        except AWS_TROUBLE as error:
            raise TryLater(f"Secrets Manager could not be reached for {secret_id}: {type(error).__name__}.") from error
        if not answer.get("VersionId"):
            raise TryLater(f"Secrets Manager's answer for {secret_id} has no version; does a proxy answer?")
        text = answer.get("SecretString") or _text(answer.get("SecretBinary", b""))
        return Secret(answer["VersionId"], text, int(answer["CreatedDate"].timestamp() * 1000))

    return read


class SecretStore:
    """Writes a secret's value; see `renewal.Store`."""

    def __init__(self, client: SecretsManagerClient, secret_id: str) -> None:
        self._client = client
        self._secret_id = secret_id

    def write(self, text: str, version: str) -> None:
        """Make this the secret's current value, as the version of this id (a UUID). Repeating it has no effect.

        Raises `NotStored` if Secrets Manager refuses it, and `TryLater` if it cannot be reached or is in trouble.
        """
        self._put(SecretString=text, ClientRequestToken=version)

    def rehearse(self, text: str) -> None:
        """Write a version that nobody uses. Raises what `write` raises."""
        self._put(SecretString=text, ClientRequestToken=str(uuid4()), VersionStages=[REHEARSAL])

    def _put(self, **request: Any) -> None:
        try:
            self._client.put_secret_value(SecretId=self._secret_id, **request)
        except ClientError as error:
            if may_heal(error) and code_of(error) != _TOO_MANY_VERSIONS:
                raise TryLater(f"Secrets Manager could not store {self._secret_id}: {in_words(error)}.") from error
            from anaplan_autoload.anaplan.renewal import NotStored  # only a renewed log-in is written

            raise NotStored(_not_stored(self._secret_id, error)) from error
        except AWS_TROUBLE as error:
            kind = type(error).__name__
            raise TryLater(f"Secrets Manager could not be reached for {self._secret_id}: {kind}.") from error


def _not_stored(secret_id: str, error: ClientError) -> str:
    code = code_of(error)
    if code in _FORBIDDEN or code in _KMS:  # its message names roles and keys
        return (
            f"The secret {secret_id} cannot be written ({code}). For the function, deploy the stack with "
            "RefreshTokenRotates=true, which allows secretsmanager:PutSecretValue; if the secret is encrypted with its "
            "own KMS key, name that in ExistingKeyArns. Or let Anaplan's administrator make the OAuth client's refresh "
            "tokens non-rotatable."
        )
    return f"Secrets Manager refused to write the secret {secret_id}: {in_words(error)}."


def _text(binary: bytes) -> str:
    """A secret that was stored as a file: UTF-8, or UTF-16 with its byte order mark."""
    return binary.decode("utf-16" if binary[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace")


def _unreadable(secret_id: str, error: ClientError) -> CloudWorksError:
    code, said = code_of(error), in_words(error)
    if may_heal(error):
        return TryLater(f"Secrets Manager could not return {secret_id}: {said}.")
    if code == "InvalidRequestException" and re.search(r"mark\w* .*delet", said):
        return SecretInvalid(
            f"The secret {secret_id} is marked for deletion. "
            f"Restore it: aws secretsmanager restore-secret --secret-id {secret_id}"
        )
    if code in _MISSING:
        return SecretInvalid(f"The secret {secret_id} has no value, or does not exist. Store {SHAPES}.")
    if code in _FORBIDDEN:  # its message names roles and keys
        return SecretInvalid(
            f"The function may not read the secret {secret_id} ({code}). Allow it secretsmanager:GetSecretValue, and "
            "kms:Decrypt if the secret is encrypted with its own KMS key."
        )
    return SecretInvalid(f"Secrets Manager refused to return the secret {secret_id}: {said}.")
