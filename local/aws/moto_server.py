"""Moto's server, corrected so that DynamoDB and SQS behave with several clients at once: `-m local.aws.moto_server`.

Moto serves every request in a thread of its own and locks little. Left alone

- it takes a write's condition and the write apart, so that two clients may both take a free lease;
- it copies the whole table for every transaction, and puts that copy back when the transaction is cancelled: what
  others wrote in between is lost;
- it rebuilds a queue for every deletion, and drops messages that are sent in between.

Here requests to DynamoDB are answered one after another, and deletions wait for those who send.

Moto would also run a function that a bucket notifies in a container. Here the event goes to a queue instead, for
`notifications.py`; so a bucket can have the notifications of the template.
"""

from __future__ import annotations

import json
from collections import defaultdict
from copy import copy
from threading import Lock
from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.s3 import notifications
from moto.server import main
from moto.sqs.models import Queue, sqs_backends

from local.aws.notifications import NOTIFICATIONS_QUEUE


def make_thread_safe() -> None:
    """Make this process's moto safe for several clients."""
    _answer_one_after_another()
    _copy_tables_cheaply()
    _delete_while_nobody_sends()
    _queue_what_functions_are_told()


def _answer_one_after_another() -> None:
    answer, lock = DynamoHandler.call_action, Lock()

    def answer_alone(handler: DynamoHandler) -> TYPE_RESPONSE:
        with lock:
            response: TYPE_RESPONSE = answer(handler)
            return response

    DynamoHandler.call_action = answer_alone  # type: ignore[method-assign]


def _copy_tables_cheaply() -> None:
    """A transaction's backup of a table: which items there are, not what is in them.

    That is enough: an item of a cancelled transaction is written only after its own condition holds.
    A copy of everything takes seconds once a table has a thousand items.
    """

    def back_up(table: Table, _: dict[int, Any]) -> Table:
        backup = copy(table)
        backup.items = defaultdict(dict, {key: copy(items) for key, items in table.items.items()})
        return backup

    Table.__deepcopy__ = back_up  # type: ignore[attr-defined]


def _delete_while_nobody_sends() -> None:
    delete = Queue.delete_message

    def delete_alone(queue: Queue, receipt_handle: str) -> None:
        with queue._messages_lock:  # noqa: SLF001  (moto forgets to take it)
            delete(queue, receipt_handle)

    Queue.delete_message = delete_alone  # type: ignore[method-assign, assignment]


def _queue_what_functions_are_told() -> None:
    def send(account_id: str, event_body: Any, fn_arn: str, region_name: str) -> None:
        body = json.dumps(event_body)
        sqs_backends[account_id][region_name].send_message(queue_name=NOTIFICATIONS_QUEUE, message_body=body)

    notifications._invoke_awslambda = send  # noqa: SLF001  (moto has no public place for it)


if __name__ == "__main__":
    make_thread_safe()
    main()
