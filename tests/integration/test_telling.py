"""Who is told what, and where: EventBridge, chat, people's digests, and the one id that joins them with the log."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.handler import logger_at
from anaplan_autoload_cli.service.story import query_for
from tests.autoload import Autoload
from tests.integration.cli import Command
from tests.integration.test_main_path import ACCOUNTS, EACH, KEY, latest
from tests.unit.test_schemas import mistakes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BAD_ROWS = "Code,Name\nA1,Cash\n,Nameless\n"


@pytest.fixture
def command(autoload: Autoload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The command line in the function's surroundings."""
    return Command(autoload, monkeypatch, tmp_path)


class Channel:
    """A queue that keeps what a topic or a bus sends."""

    def __init__(self, autoload: Autoload, name: str) -> None:
        self._sqs = autoload.sqs
        self.url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]
        self.arn = attributes["QueueArn"]

    def received(self) -> list[dict[str, Any]]:
        """The bodies since the last call."""
        found: list[dict[str, Any]] = []
        while batch := self._sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                found.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return found


def a_topic(autoload: Autoload, name: str) -> tuple[str, Channel]:
    """A topic, and a queue that is subscribed to it."""
    topic, channel = autoload.sns.create_topic(Name=name)["TopicArn"], Channel(autoload, name)
    autoload.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=channel.arn)
    return topic, channel


def on_the_bus(autoload: Autoload) -> Channel:
    """A queue that gets our events from the default bus."""
    channel, events = Channel(autoload, "events"), boto3.client("events")
    pattern = json.dumps({"source": ["anaplan-autoload"], "detail-type": ["Loaded", "Partly Loaded"]})
    events.put_rule(Name="ours", EventPattern=pattern)
    events.put_targets(Rule="ours", Targets=[{"Id": "queue", "Arn": channel.arn}])
    return channel


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the function logs."""
    handler = logger_at("INFO").registered_handler
    assert isinstance(handler, logging.StreamHandler)
    stream = io.StringIO()
    monkeypatch.setattr(handler, "stream", stream)  # setStream() flushes the one before, which pytest may have closed
    return stream


def lines_of(log: io.StringIO) -> list[dict[str, Any]]:
    """The lines of a log."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.mark.usefixtures("used")
def test_every_channel_hears_of_a_load_under_one_id(autoload: Autoload, log: io.StringIO) -> None:
    latest(autoload)
    chat_topic, chat = a_topic(autoload, "chat")
    mail_topic, mails = a_topic(autoload, "mails")
    bus = on_the_bus(autoload)
    autoload.change(chat_topic_arn=chat_topic, mail_topic_arn=mail_topic, publish_events=True)

    autoload.invoke(autoload.upload(KEY, BAD_ROWS))

    [document], [event], [shown], [mail] = autoload.messages(), bus.received(), chat.received(), mails.received()
    assert mistakes("message.json", document) == []
    assert mistakes("event-partial.json", {"account": "123456789012", **event}) == []  # moto leaves it out
    assert event["detail"] == document
    notification = json.loads(shown["Message"])
    assert mistakes("chat.json", notification) == []
    assert notification["metadata"]["threadId"] == "autoload/accounts"
    assert notification["id"] == f"{document['id']} partial"
    assert mail["Message"].startswith("Accounts.csv was loaded into Anaplan (route accounts), but some rows")
    assert mail["MessageAttributes"]["id"]["Value"] == document["id"]

    [upload_id] = autoload.upload_ids
    lines = lines_of(log)
    assert document["trace_id"] == upload_id
    assert {line["trace_id"] for line in lines} == {upload_id}
    assert len({line["batch_id"] for line in lines if "batch_id" in line}) == 1
    [reported] = [line for line in lines if "report_id" in line]
    assert mistakes("log-line.json", reported) == []


def test_a_burst_and_a_requested_load_can_be_followed_by_one_id(autoload: Autoload, log: io.StringIO) -> None:
    latest(autoload)
    event = autoload.upload(KEY, ACCOUNTS)
    autoload.record_backlog(event, 2)
    autoload.invoke(event)
    autoload.invoke({"load": {"bucket": "inbox", "key": KEY, "request_id": "again"}})

    burst, requested = autoload.messages()
    lines = lines_of(log)
    [first, second] = [line for line in lines if "upload_ids" in line]
    assert first["uploads"] == 3
    assert first["trace_id"] == first["upload_ids"][0] == burst["trace_id"]
    assert autoload.upload_ids[-1] in first["upload_ids"]
    assert {line["trace_id"] for line in lines[lines.index(second) - 1 :]} == {requested["trace_id"]}
    assert second["upload_ids"] == [requested["trace_id"]]


def test_a_channel_that_fails_does_not_stop_the_others(autoload: Autoload) -> None:
    latest(autoload)
    chat_topic, chat = a_topic(autoload, "chat")
    autoload.change(chat_topic_arn=chat_topic, publish_events=True)

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutEvents")

    autoload.services_now().events.meta.events.register("before-parameter-build.events.PutEvents", refuse)

    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS))["uploads"][0]["state"] == "loaded"

    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]
    assert len(chat.received()) == 1


def test_one_refused_entry_counts_as_a_refusal(autoload: Autoload, log: io.StringIO) -> None:
    """EventBridge answers 200, and says in the answer which entries it did not take."""
    latest(autoload)
    autoload.change(publish_events=True)

    def refused(parsed: dict[str, Any], **_: object) -> None:
        parsed["FailedEntryCount"] = 1
        parsed["Entries"] = [{"ErrorCode": "InvalidArgument", "ErrorMessage": "no such bus"}]

    autoload.services_now().events.meta.events.register("after-call.events.PutEvents", refused)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert "no such bus" in log.getvalue()
    assert len(autoload.messages()) == 1


def a_burst(autoload: Autoload, loads: int) -> Channel:
    """So many loads in a lane that mails are gathered from the third on."""
    mail_topic, mails = a_topic(autoload, "mails")
    autoload.change(mail_topic_arn=mail_topic, digest_after=2)
    autoload.routes(EACH, accounts="source/Accounts.csv")
    for number in range(loads):
        autoload.invoke(autoload.upload(f"incoming/accounts/{number}.csv", BAD_ROWS if number == 3 else ACCOUNTS))
    return mails


@pytest.mark.usefixtures("used")
def test_people_get_one_mail_for_a_burst_and_systems_every_document(autoload: Autoload) -> None:
    mails = a_burst(autoload, 5)
    documents = autoload.messages()

    assert len(documents) == 5
    assert [mail["Subject"] for mail in mails.received()] == [f"Loaded: accounts: {number}.csv" for number in (0, 1)]
    autoload.invoke({"sweep": True})
    assert mails.received() == []  # not due yet

    autoload.pass_time(600)
    autoload.invoke({"sweep": True})
    autoload.invoke({"sweep": True})

    [digest] = mails.received()
    assert digest["Subject"] == "1 partly loaded, 2 loaded: accounts"
    first, *_ = digest["Message"].splitlines()
    assert first == "3 loads into Anaplan ended (route accounts): 1 partly loaded, 2 loaded."
    listed = [line for line in digest["Message"].splitlines() if line.startswith("- ")]
    assert [
        document["id"] in line
        for document, line in zip((documents[3], documents[2], documents[4]), listed, strict=True)
    ] == [True] * 3
    assert autoload.messages() == []


@pytest.mark.parametrize(
    "change",
    [{"digest_after": 0}, {"digest_ms": 1_000}],
    ids=["switched off", "a window in which there are not so many"],
)
def test_a_mail_for_each_where_digests_do_not_apply(autoload: Autoload, change: dict[str, int]) -> None:
    mails = a_burst(autoload, 0)
    autoload.change(**change)

    for number in range(4):
        autoload.pass_time(5)
        autoload.invoke(autoload.upload(f"incoming/accounts/{number}.csv", ACCOUNTS))

    assert len(mails.received()) == 4


def test_a_digest_that_sns_refuses_is_sent_by_the_next_sweep(autoload: Autoload) -> None:
    mails = a_burst(autoload, 4)
    mails.received()
    autoload.pass_time(600)
    lives = [True]

    def refuse(**_: object) -> None:
        if lives:
            lives.pop()
            raise ClientError({"Error": {"Code": "KMSDisabled", "Message": "off"}}, "Publish")

    autoload.services_now().sns.meta.events.register("before-parameter-build.sns.Publish", refuse)

    autoload.invoke({"sweep": True})
    assert mails.received() == []
    autoload.invoke({"sweep": True})
    assert len(mails.received()) == 1


# story


def test_a_story_joins_the_ledger_with_the_log(
    autoload: Autoload, command: Command, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    keep_log(log)
    monkeypatch.setenv("LOG_GROUP_NAME", "/aws/lambda/autoload")

    [told] = command.data("story", KEY)

    assert told["upload_id"] == autoload.upload_ids[0]
    assert (told["state"], told["log"], told["route"]) == ("loaded", True, "accounts")
    assert [moment["what"] for moment in told["moments"] if moment["what"] != "logged"] == [
        *("uploaded", "recorded", "claimed", "asked", "began", "ended", "told")
    ]
    said = [moment["said"] for moment in told["moments"] if moment["what"] == "logged"]
    assert said[0] == "INFO Recorded an upload"
    assert said[-1] == "INFO Loaded: accounts: Accounts.csv"


def keep_log(log: io.StringIO) -> None:
    """Put what the function logged into CloudWatch."""
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/autoload")
    logs.create_log_stream(logGroupName="/aws/lambda/autoload", logStreamName="one")
    events: Any = [{"timestamp": wall_clock(), "message": json.dumps(line)} for line in lines_of(log)]
    logs.put_log_events(logGroupName="/aws/lambda/autoload", logStreamName="one", logEvents=events)


def test_without_a_log_a_story_comes_from_the_ledger_alone(
    autoload: Autoload, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    monkeypatch.setenv("LOG_GROUP_NAME", "/aws/lambda/nothing-there")

    result = command("story", f"s3://inbox/{KEY}")

    assert result.code == 0
    assert "could not be read: The specified log group does not exist. This is what the ledger knows." in result.err
    assert "Subscribers were told that it is loaded." in result.out


def test_a_file_that_was_uploaded_twice_has_a_story_for_each(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    for _ in range(2):
        autoload.invoke(autoload.upload(KEY, ACCOUNTS))
        autoload.pass_time(60)

    newest = command("story", KEY)
    every = command.data("story", KEY, "--all")

    assert "1 more upload of this file" in newest.err
    assert [told["upload_id"] for told in every] == autoload.upload_ids[::-1]
    assert command.data("story", KEY, "--version", every[1]["version_id"]) == [every[1]]


def test_a_file_that_nobody_knows_has_no_story(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    result = command("story", "incoming/acounts/a.csv")

    assert result.code == 0
    assert "The ledger has no upload with this key" in result.err


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (lambda upload, batch: {"trace_id": upload}, True),
        (lambda upload, batch: {"upload_ids": ["0" * 64, upload]}, True),
        (lambda upload, batch: {"batch_id": batch, "trace_id": "0" * 64}, True),
        (lambda upload, batch: {"trace_id": "1" * 64, "batch_id": "2" * 32}, False),
    ],
)
def test_the_query_finds_every_line_that_names_the_upload_or_its_batch(
    line: Callable[[str, str], dict[str, Any]], found: bool
) -> None:
    upload, batch = "a" * 64, "b" * 32
    [pattern] = re.findall(r"@message like /(.+?)/", query_for(upload, batch))

    assert bool(re.search(pattern, json.dumps(line(upload, batch)))) is found
