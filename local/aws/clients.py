"""boto3 clients of the laptop's AWS, independent of profiles and endpoints in the user's environment."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

REGION = "eu-west-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "laptop",
    "AWS_SECRET_ACCESS_KEY": "laptop",  # opens nothing: moto takes any
    "AWS_SESSION_TOKEN": "laptop",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}


class LaptopSession(boto3.Session):
    """A session whose clients lead to one stack, for code that makes its own."""

    def __init__(self, url: str, lambda_url: str) -> None:
        super().__init__("laptop", "laptop", "laptop", region_name=REGION)
        self._urls = {"lambda": lambda_url}
        self._url = url

    def client(self, service_name: str, **options: Any) -> Any:  # type: ignore[override]
        """A client of a service, at its endpoint."""
        return super().client(service_name, endpoint_url=self._urls.get(service_name, self._url), **options)  # type: ignore[call-overload]


class Aws:
    """Clients for the endpoints of one stack, made when first used; they may be shared among threads."""

    def __init__(self, url: str, lambda_url: str) -> None:
        self.url = url
        self.lambda_url = lambda_url
        self.region = REGION
        self._session = boto3.Session("laptop", "laptop", "laptop", region_name=REGION)

    @property
    def session(self) -> LaptopSession:
        """A session of its own for code that makes its own clients."""
        return LaptopSession(self.url, self.lambda_url)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which every SDK finds this AWS, instead of a profile or the real AWS."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL": self.url, "AWS_ENDPOINT_URL_LAMBDA": self.lambda_url}

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """CloudFormation, at moto."""
        return self._session.client("cloudformation", endpoint_url=self.url)

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """DynamoDB, at moto."""
        return self._session.client("dynamodb", endpoint_url=self.url)

    @cached_property
    def events(self) -> EventBridgeClient:
        """EventBridge, at moto, which sends no schedule's events."""
        return self._session.client("events", endpoint_url=self.url)

    @cached_property
    def functions(self) -> LambdaClient:
        """Lambda, at the dispatcher."""
        return self._session.client("lambda", endpoint_url=self.lambda_url)

    @cached_property
    def s3(self) -> S3Client:
        """S3, at moto."""
        return self._session.client("s3", endpoint_url=self.url)

    @cached_property
    def secrets(self) -> SecretsManagerClient:
        """Secrets Manager, at moto."""
        return self._session.client("secretsmanager", endpoint_url=self.url)

    @cached_property
    def sns(self) -> SNSClient:
        """SNS, at moto."""
        return self._session.client("sns", endpoint_url=self.url)

    @cached_property
    def sqs(self) -> SQSClient:
        """SQS, at moto."""
        return self._session.client("sqs", endpoint_url=self.url)

    @cached_property
    def sts(self) -> STSClient:
        """STS, at moto."""
        return self._session.client("sts", endpoint_url=self.url)

    def close(self) -> None:
        """Close the connections of every client that was made."""
        for name in ("cloudformation", "dynamodb", "events", "functions", "s3", "secrets", "sns", "sqs", "sts"):
            if name in self.__dict__:
                getattr(self, name).close()
