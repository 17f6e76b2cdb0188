"""The laptop's DynamoDB behaves like the real one when several clients write at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest

from local.aws.clients import CREDENTIALS, Aws
from local.aws.processes import Command, Guardian, bare_environment, start_server
from local.aws.stack import ROOT
from local.http_server import HOST

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "ledger"
ITEMS = 400


@pytest.fixture(scope="module")
def dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamoDBClient]:
    def command(port: int) -> Command:
        arguments = (sys.executable, "-m", "local.aws.moto_server", "-H", HOST, "-p", str(port))
        return Command("moto", arguments, bare_environment(CREDENTIALS), ROOT)

    with Guardian() as guardian:
        server = start_server(command, Path(tmp_path_factory.mktemp("moto")), guardian)
        aws = Aws(server.url, server.url)
        try:
            aws.dynamodb.create_table(
                TableName=TABLE,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            )
            yield aws.dynamodb
        finally:
            aws.close()
            server.process.stop()


def test_a_transaction_that_is_cancelled_takes_nothing_of_others_with_it(dynamodb: DynamoDBClient) -> None:
    done = Event()
    cancelled = dynamodb.exceptions.TransactionCanceledException  # once, as two threads would get two classes

    def cancel() -> None:
        while not done.is_set():
            with pytest.raises(cancelled):
                dynamodb.transact_write_items(
                    TransactItems=[
                        {"Put": {"TableName": TABLE, "Item": {"pk": {"S": "cancelled"}, "sk": {"S": "first"}}}},
                        {
                            "Update": {
                                "TableName": TABLE,
                                "Key": {"pk": {"S": "cancelled"}, "sk": {"S": "second"}},
                                "UpdateExpression": "SET taken = :yes",
                                "ConditionExpression": "attribute_exists(pk)",
                                "ExpressionAttributeValues": {":yes": {"BOOL": True}},
                            }
                        },
                    ]
                )

    with ThreadPoolExecutor() as others:
        cancelling = [others.submit(cancel) for _ in range(2)]
        for number in range(ITEMS):
            dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": "kept"}, "sk": {"S": f"{number:04}"}})
        done.set()
        for each in cancelling:
            each.result()
    assert count(dynamodb, "kept") == ITEMS
    assert count(dynamodb, "cancelled") == 0


def count(dynamodb: DynamoDBClient, pk: str) -> int:
    return dynamodb.query(
        TableName=TABLE, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": pk}}, Select="COUNT"
    )["Count"]
