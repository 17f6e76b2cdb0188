"""Sorts AWS's errors: which ones may pass by themselves, and which ones will come again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from collections.abc import Iterator

AWS_TROUBLE = (BotoCoreError, ClientError, ResponseParserError)
"""AWS answered with an error or not at all, or a proxy answered in its place."""

MAY_HEAL = frozenset(
    {
        # The service is in trouble, or lost the request. For an answer without a body, the code is the HTTP status.
        "500",
        "502",
        "503",
        "504",
        "InternalError",
        "InternalErrorException",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "ServiceException",
        "ServiceFailure",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        # Too many requests.
        "429",
        "BandwidthLimitExceeded",
        "Busy",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "ReducedThroughput",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        # The request took too long, or arrived damaged.
        "408",
        "BadDigest",
        "IncompleteBody",
        "RequestTimeout",
        "RequestTimeoutException",
        "RequestTimeTooSkewed",
        # Somebody else is writing the same item, or changing the table, the bucket or the function.
        "ConditionalRequestConflict",
        "OperationAborted",
        "ReplicatedWriteConflictException",
        "ResourceConflictException",
        "ResourceInUseException",
        "ResourceNotReadyException",
        "TemporaryRedirect",
        "TransactionCanceledException",
        "TransactionConflictException",
        "TransactionInProgressException",
        # Expired credentials; Lambda brings new ones.
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "TokenRefreshRequired",
        # Trouble with the KMS key, as S3 ("KMS."), SNS and Lambda report it.
        "KMS.DependencyTimeoutException",
        "KMS.InternalException",
        "KMS.KMSInternalException",
        "KMS.KeyUnavailableException",
        "KMS.LimitExceededException",
        "KMS.ThrottlingException",
        "KMSInternalException",
        "KMSThrottling",
        "KMSThrottlingException",
    }
)
"""The codes of errors that may pass by themselves. Every other code is a refusal: a retry gets the same answer.
A code that is not here may pass too if its HTTP status is one of `IN_TROUBLE`.

`AccessDenied` counts as a refusal, although a change in IAM takes some seconds to take effect. A wrong role is far more
common than one that was changed a moment ago, and waiting would stop the lane.
"""

IN_TROUBLE = frozenset({429, 500, 503, 504})
"""With these statuses a service says that the trouble is its own. Lambda sends 502 for wrong settings of a function."""

_LOAD_AGAIN = "then load it again (anaplan-autoload load s3://…)"
_RESTORE = f"The object is archived. Restore it (aws s3api restore-object), wait until that is done, {_LOAD_AGAIN}."
_ALLOW = (
    "The function's role needs to read the object and to write the route's stage_to key (ExistingBucketArns), and "
    "kms:Decrypt and kms:GenerateDataKey for the keys that encrypt them (ExistingKeyArns); the bucket's and the keys' "
    "own policies must allow that too. The bucket must still belong to the account that the upload came from. "
    f"Change what is missing, {_LOAD_AGAIN}."
)
_KEY = f"Make sure that the KMS key of the object and of its bucket exists, is enabled and can encrypt, {_LOAD_AGAIN}."
_REMEDIES = {
    "403": _ALLOW,
    "AccessDenied": _ALLOW,
    "AccessDeniedException": _ALLOW,
    "AllAccessDisabled": _ALLOW,
    "InvalidObjectState": _RESTORE,
    "KMS.AccessDeniedException": _ALLOW,
    "ObjectNotInActiveTierError": _RESTORE,
    **dict.fromkeys(
        ("400", "InvalidRequest"),
        "An object that its uploader encrypted with a key of their own (SSE-C) cannot be read without that key: "
        "upload it again without SSE-C.",
    ),
}


class AwsRefused(Exception):
    """AWS refused a call for a reason that has nothing to do with an upload. A retry would be refused again.

    The execution fails with this error. Its uploads keep waiting, and it does not count as an attempt.
    """


def code_of(error: ClientError) -> str:
    """The error's code, such as `SlowDown`; the HTTP status if the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def may_heal(error: Exception) -> bool:
    """Whether the same call may succeed later. Errors without an answer (a lost connection) may."""
    if not isinstance(error, ClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code_of(error) in MAY_HEAL or status in IN_TROUBLE


def in_words(error: ClientError) -> str:
    """What AWS said, with its code and without a full stop: `The key is disabled (KMS.DisabledException)`."""
    code = code_of(error)
    said = str(error.response.get("Error", {}).get("Message", "")).strip().removesuffix(".")
    return f"{said} ({code})" if said else f"answered {code or 'without a code'}"


def remedy(error: ClientError) -> str:
    """The remedy for a refusal that concerns an object."""
    code = code_of(error)
    return _REMEDIES.get(code, _KEY if code.startswith("KMS.") else f"Change what it names, {_LOAD_AGAIN}.")


@contextmanager
def blameless() -> Iterator[None]:
    """Turn a refusal into `AwsRefused`. Errors that may pass are raised unchanged, so that the step is retried."""
    try:
        yield
    except ClientError as error:
        if may_heal(error):
            raise
        raise AwsRefused(f"{error.operation_name}: {in_words(error)}") from error
