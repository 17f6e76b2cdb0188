"""`redrive`: dead letters, sent to the function again."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct, json

from anaplan_autoload.domain import events
from anaplan_autoload.domain.events import Drain, Load, Sweep, Uploads
from anaplan_autoload.domain.times import iso
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import Column, CommandFailed
from anaplan_autoload_cli.service.places import the_function
from anaplan_autoload_cli.service.sending import bar
from anaplan_autoload_cli.times import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_sqs import SQSClient

    from anaplan_autoload_cli.output import Output, Record
    from anaplan_autoload_cli.service.places import FunctionAlias

HIDDEN_SECONDS = 900
"""How long received messages stay hidden from others: time enough to read the list and answer."""
MOST = 10_000
"""Messages in one go; SQS hides at most twelve times as many."""
SHOWN_PLACES = 3

_COLUMNS = (
    Column("died_at", "Died"),
    Column("event", "Event", fold=True),
    Column("reason", "Reason", fold=True),
    Column("state", "State"),
)

LetterState = Literal["to send", "sent", "refused", "not understood", "to discard", "discarded", "not deleted"]


class DeadLetter(Struct, frozen=True):
    """An event that the function, or EventBridge on the way to it, gave up."""

    id: str
    receipt: str
    body: str
    died_at: str
    """When it came to the queue."""
    reason: str
    """Why it failed, in Lambda's or EventBridge's words; empty if they do not say."""


def redrive(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the dead letters.")] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Delete them all instead, also those that cannot be read; asks first.")
    ] = False,
) -> None:
    """Send dead letters to the function again, each deleted once the function has it; shows them and asks first.

    SQS's own redrive does not apply to this queue. Events that the function cannot read stay in the queue, because they
    would come back; --discard deletes them. An event that was handled after all changes nothing. AWS does not give a
    reason for every dead letter; the function's log has the rest.

    --discard deletes what it shows, and nothing that comes later. An upload whose event is discarded may still be
    loaded: the sweep finds it as long as it is in the bucket (with the stack's Reconcile off, only backfill does).

    Keys with --json: id, died_at, event (in words), reason (null if AWS gives none), state (to send, sent, refused,
    not understood, to discard, discarded, not deleted).

    Examples:

        anaplan-autoload redrive

        anaplan-autoload redrive --discard
    """
    cli = cli_of(context)
    queue, sqs = cli.settings.require("queue"), cli.aws.client("sqs")
    if discard:
        _discard(cli.out, sqs, queue, dry_run=dry_run)
        return
    function = the_function(cli)
    with _received(sqs, queue, cli.out) as hidden:
        letters = list(hidden.values())
        states: dict[str, LetterState] = {
            each.id: "to send" if _is_known(each) else "not understood" for each in letters
        }
        sendable = [each for each in letters if states[each.id] == "to send"]
        if dry_run or not sendable:
            cli.out.rows(_records(letters, states), _COLUMNS, nothing="There are no dead letters.")
            return
        if not cli.out.as_json:
            cli.out.rows(_records(letters, states), _COLUMNS)
        cli.out.confirm(f"Send {count(len(sendable), 'event')} to the function again?")
        with cli.out.progress("Sending") as progress:
            for number, each in enumerate(sendable, start=1):
                if _is_taken(cli.out, function, each):
                    states[each.id] = "sent"
                    _delete(cli.out, sqs, queue, hidden.pop(each.id))
                else:
                    states[each.id] = "refused"
                progress.update(f"Sending {bar(number, len(sendable))}")
    if cli.out.as_json:
        cli.out.rows(_records(letters, states), _COLUMNS)
    if refused := sum(state == "refused" for state in states.values()):
        raise CommandFailed(
            f"{refused} of {len(sendable)} events were not accepted; they are still in the queue.",
            remedy="Remove the cause, then redrive again.",
        )
    cli.out.done(f"Sent: {count(len(sendable), 'event')}. See how they end: anaplan-autoload status")


def _discard(out: Output, client: SQSClient, queue: str, *, dry_run: bool) -> None:
    """Show everything in the queue, and delete it if the user agrees."""
    with _received(client, queue, out) as hidden:
        letters = list(hidden.values())
        states: dict[str, LetterState] = dict.fromkeys(hidden, "to discard")
        if dry_run or not letters:
            out.rows(_records(letters, states), _COLUMNS, nothing="There are no dead letters.")
            return
        if not out.as_json:
            out.rows(_records(letters, states), _COLUMNS)
        out.confirm(f"Delete {count(len(letters), 'dead letter')} without sending them? This cannot be undone.")
        for each in letters:
            deleted = _delete(out, client, queue, each)
            states[each.id] = "discarded" if deleted else "not deleted"
            if deleted:
                del hidden[each.id]
    if out.as_json:
        out.rows(_records(letters, states), _COLUMNS)
    if left := sum(state == "not deleted" for state in states.values()):
        raise CommandFailed(f"{left} of {count(len(letters), 'dead letter')} could not be deleted.")
    out.done(f"Discarded: {count(len(letters), 'dead letter')}.")


@contextmanager
def _received(client: SQSClient, queue: str, out: Output) -> Iterator[dict[str, DeadLetter]]:
    """Everything in the queue, by id. It is hidden from others during the command; the rest shows again afterwards."""
    letters: dict[str, DeadLetter] = {}
    try:
        with out.progress("Receiving") as progress:
            while len(letters) < MOST and (received := _receive(client, queue)):
                letters |= {letter.id: letter for letter in received}
                progress.update(f"Received {len(letters)}")
        yield letters
    finally:
        for letter in letters.values():
            with suppress(ClientError, BotoCoreError):  # it shows again by itself, only later
                client.change_message_visibility(QueueUrl=queue, ReceiptHandle=letter.receipt, VisibilityTimeout=0)


def _receive(client: SQSClient, queue: str) -> list[DeadLetter]:
    answer = client.receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=10,
        VisibilityTimeout=HIDDEN_SECONDS,
        WaitTimeSeconds=1,
        AttributeNames=["SentTimestamp"],
        MessageAttributeNames=["All"],
    )
    return [_letter(message) for message in answer.get("Messages", [])]


def _letter(message: Any) -> DeadLetter:
    """Lambda says why it gave up in ErrorMessage, EventBridge in ERROR_MESSAGE."""
    attributes = message.get("MessageAttributes", {})
    reasons = (attributes.get(name, {}).get("StringValue", "") for name in ("ErrorMessage", "ERROR_MESSAGE"))
    return DeadLetter(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        died_at=iso(int(message["Attributes"]["SentTimestamp"])),
        reason=next(filter(None, reasons), ""),
    )


def _is_taken(out: Output, function: FunctionAlias, letter: DeadLetter) -> bool:
    try:
        function.send_text(letter.body)
    except (ClientError, BotoCoreError, CommandFailed) as error:
        out.warning(f"{letter.id} was not accepted: {error}")
        return False
    return True


def _delete(out: Output, client: SQSClient, queue: str, letter: DeadLetter) -> bool:
    """Delete a message. If that fails, it comes back; sending its event again changes nothing."""
    try:
        client.delete_message(QueueUrl=queue, ReceiptHandle=letter.receipt)
    except (ClientError, BotoCoreError) as error:
        out.warning(f"{letter.id} could not be deleted: {error}")
        return False
    return True


def _is_known(letter: DeadLetter) -> bool:
    try:
        events.parse(json.decode(letter.body))
    except (ValueError, RecursionError):
        return False
    return True


def _in_words(letter: DeadLetter) -> str:
    try:
        event = events.parse(json.decode(letter.body))
    except (ValueError, RecursionError):
        return "not understood"
    match event:
        case Uploads(uploads):
            places = [f"s3://{upload.bucket}/{upload.key}" for upload in uploads]
            more = f" and {len(places) - SHOWN_PLACES} more" if len(places) > SHOWN_PLACES else ""
            return f"upload of {', '.join(places[:SHOWN_PLACES])}{more}" if places else "nothing to load"
        case Load(bucket=bucket, key=key):
            return f"load of s3://{bucket}/{key}"
        case Drain(lane):
            return f"drain of lane {lane}"
        case Sweep():
            return "sweep"


def _records(letters: Sequence[DeadLetter], states: dict[str, LetterState]) -> list[Record]:
    return [
        {
            "id": letter.id,
            "died_at": letter.died_at,
            "event": _in_words(letter),
            "reason": letter.reason or None,
            "state": states[letter.id],
        }
        for letter in letters
    ]
