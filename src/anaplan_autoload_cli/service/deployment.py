"""The doctor's checks of AWS: whether uploads reach the function, and whether it has what it needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from anaplan_autoload_cli.service.findings import Finding, failed, ok, warning
from anaplan_autoload_cli.times import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anaplan_autoload_cli.service.deployed_service import DeployedService

REDEPLOY = "Deploy the stack again: sam build && sam deploy."
_VARIABLES = {
    "LEDGER_TABLE": "table",
    "TOPIC_ARN": "topic",
    "ANAPLAN_SECRET_ID": "secret_id",
    "CLOUDWORKS_URL": "cloudworks_url",
    "ANAPLAN_AUTH_URL": "auth_url",
    "REPORTS_BUCKET": "reports",
}
"""The function's environment, and the settings that say the same to the command line."""


def function(site: DeployedService) -> Iterator[Finding]:
    """The alias leads to a durable function that can be invoked, and works on what this command line looks at."""
    alias = site.alias
    if alias.state != "Active":
        yield failed("function", f"{alias.function}:{alias.name} is {alias.state}", "Wait a minute, then look again.")
    if not alias.durable:
        yield failed(
            "function", f"{alias.function}:{alias.name} is not durable", f"{REDEPLOY} It must be created again."
        )
    elsewhere = [
        f"{variable} {alias.environment.get(variable, 'unset')} (here {here})"
        for variable, name in _VARIABLES.items()
        if (here := site.cli.settings.get(name)) and alias.environment.get(variable) != here
    ]
    if elsewhere:
        yield warning(
            "function",
            f"its settings are not those of this command line: {'; '.join(elsewhere)}",
            "Check --stack, the flags and .autoload.toml. If they are right, deploy the stack again.",
        )
    if alias.state == "Active" and alias.durable and not elsewhere:
        yield ok("function", f"{alias.function}:{alias.name} can be invoked")


def notifications(site: DeployedService) -> Iterator[Finding]:
    """The inbox tells the alias which objects are created."""
    inbox = site.need("inbox")
    told: Any = site.s3.get_bucket_notification_configuration(Bucket=inbox)
    ours = [
        each for each in told.get("LambdaFunctionConfigurations", []) if each["LambdaFunctionArn"] == site.alias.arn
    ]
    creations = [each for each in ours if any(event.startswith("s3:ObjectCreated:") for event in each["Events"])]
    if not creations and "EventBridgeConfiguration" in told and _rules(site, inbox):
        yield ok("inbox", f"{inbox} notifies EventBridge of uploads, and a rule sends the events to the function")
    elif not creations:
        yield failed("inbox", f"{inbox} does not notify the function's alias of uploads", REDEPLOY)
    elif missed := _filtered_out(site, creations):
        yield failed(
            "inbox",
            f"{inbox} notifies of some keys only, not of those of route {', '.join(missed)}",
            "Remove the filter of the bucket's notification.",
        )
    else:
        yield ok("inbox", f"{inbox} notifies the function of uploads")


def _filtered_out(site: DeployedService, configurations: list[Any]) -> list[str]:
    """The routes of the inbox whose prefix no notification lets through."""
    prefixes = [
        next((rule["Value"] for rule in _filter_rules(each) if rule["Name"].lower() == "prefix"), "")
        for each in configurations
    ]
    return [
        route.name
        for route in site.routes or ()
        if route.admits(site.need("inbox")) and not any(route.prefix.startswith(prefix) for prefix in prefixes)
    ]


def _filter_rules(configuration: Any) -> list[Any]:
    rules: list[Any] = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return rules


def permission(site: DeployedService) -> Iterator[Finding]:
    """S3 may invoke the alias for the inbox."""
    inbox = site.need("inbox")
    if any(
        _is_principal(statement, "s3.amazonaws.com") and _admits(statement.get("Condition"), inbox, site.alias.account)
        for statement in _policy(site)
    ):
        yield ok("permission", f"S3 may invoke the function for {inbox}")
    else:
        yield failed("permission", f"S3 may not invoke the function's alias for {inbox}", REDEPLOY)


def _policy(site: DeployedService) -> list[Any]:
    """The statements of the alias's policy; none where it has no policy."""
    alias = site.alias
    try:
        answer = site.lambda_.get_policy(FunctionName=alias.function, Qualifier=alias.name)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
            return []
        raise
    statements: list[Any] = json.loads(answer["Policy"]).get("Statement", [])
    return [statement for statement in statements if statement.get("Effect") == "Allow"]


def _is_principal(statement: Any, service: str) -> bool:
    principal = statement.get("Principal", {})
    return service in (principal.get("Service") if isinstance(principal, dict) else principal, principal)


def _admits(condition: Any, bucket: str, account: str) -> bool:
    """Whether a condition, with any operators, names the bucket or, as SAM's for an S3 event does, only its account."""
    wanted = [
        (key.lower(), value)
        for tests in (condition or {}).values()
        for key, values in tests.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    arns = [value for key, value in wanted if key == "aws:sourcearn"]
    accounts = [value for key, value in wanted if key == "aws:sourceaccount"]
    if arns:
        return any(arn.endswith(f":s3:::{bucket}") for arn in arns)
    return account in accounts


def existing_buckets(site: DeployedService) -> Iterator[Finding]:
    """Every other bucket of uploads tells EventBridge, and a rule sends its events to the alias."""
    for bucket in site.buckets:
        if bucket == site.cli.settings.get("inbox"):
            continue
        told: Any = site.s3.get_bucket_notification_configuration(Bucket=bucket)
        about = f"bucket {bucket}"
        if "EventBridgeConfiguration" not in told:
            yield failed(
                about,
                "it does not send its events to EventBridge",
                "Switch it on: the bucket's Properties, Amazon EventBridge.",
            )
        elif not _rules(site, bucket):
            yield failed(
                about,
                "no rule that is enabled sends its uploads to the function",
                f"Name the bucket in the stack's ExistingBucketArns. {REDEPLOY}",
            )
        else:
            yield ok(about, "its uploads reach the function through EventBridge")


def routes_without_events(site: DeployedService) -> Iterator[Finding]:
    """Every route's bucket is one whose uploads reach the function."""
    deaf = [route for route in site.routes or () if route.bucket and route.bucket not in site.buckets]
    for route in deaf if site.buckets else ():
        yield failed(
            f"route {route.name}",
            f"uploads to its bucket {route.bucket} do not reach the function",
            "Name the bucket in the stack's ExistingBucketArns, or correct the route.",
        )


def _rules(site: DeployedService, bucket: str) -> list[str]:
    """The enabled rules that send the alias S3's events of a bucket."""
    return [
        name
        for name, rule in site.rules
        if f":s3:::{bucket}" in (pattern := rule.get("EventPattern", "")) or f'"{bucket}"' in pattern
    ]


def sweep(site: DeployedService) -> Iterator[Finding]:
    """A schedule sends the sweep."""
    schedules = [rule["ScheduleExpression"] for _, rule in site.rules if rule.get("ScheduleExpression")]
    if schedules:
        yield ok("sweep", f"runs every {schedules[0].removeprefix('rate(').removesuffix(')')}")
    else:
        yield failed(
            "sweep",
            "no enabled schedule sends the sweep: uploads that a dead execution left keep waiting",
            f"Enable the stack's schedule. {REDEPLOY}",
        )


def versioning(site: DeployedService) -> Iterator[Finding]:
    """Buckets of `load = "each"` keep versions, so that exactly what was uploaded is loaded."""
    needed = {route.bucket or site.need("inbox") for route in site.routes or () if route.load == "each"}
    for bucket in sorted(needed):
        state = site.s3.get_bucket_versioning(Bucket=bucket).get("Status")
        if state == "Enabled":
            yield ok("versions", f"{bucket} keeps versions")
        else:
            yield warning(
                "versions",
                f"{bucket} keeps no versions: an object overwritten before its turn is superseded, not loaded",
                "Enable versioning on the bucket.",
            )


def ledger(site: DeployedService) -> Iterator[Finding]:
    """The table can be read as the protocol needs it."""
    table = site.need("table")
    client = site.cli.aws.client("dynamodb")
    described = client.describe_table(TableName=table)["Table"]
    indexes = [index.get("IndexName") for index in described.get("LocalSecondaryIndexes", [])]
    if described.get("TableStatus") not in ("ACTIVE", "UPDATING"):
        yield failed("ledger", f"{table} is {described.get('TableStatus')}", "Wait, then look again.")
    elif "waiting" not in indexes:
        yield failed(
            "ledger",
            f"{table} lacks the local index waiting",
            "An index can only be made with its table: check --table.",
        )
    else:
        yield ok("ledger", f"{table} exists")
    if client.describe_time_to_live(TableName=table)["TimeToLiveDescription"].get("TimeToLiveStatus") != "ENABLED":
        yield warning("ledger", f"{table} keeps everything forever", "Enable its time to live, attribute ttl.")


def topic(site: DeployedService) -> Iterator[Finding]:
    """Somebody is told how loads end."""
    arn = site.need("topic")
    others = (site.cli.settings.get(name) for name in ("mail_topic", "chat_topic"))
    lister = site.cli.aws.client("sns").get_paginator("list_subscriptions_by_topic")
    topics = [arn, *(other for other in others if other)]
    found = [each for one in topics for page in lister.paginate(TopicArn=one) for each in page["Subscriptions"]]
    pending = [each for each in found if not each.get("SubscriptionArn", "").startswith("arn:")]
    if pending:
        yield warning(
            "topic",
            f"{len(pending)} of {count(len(found), 'subscription')} not confirmed",
            "Their owners must click the link in SNS's e-mail, which may be in the junk folder.",
        )
    if not found:
        yield warning(
            "topic", "nobody is subscribed, so nobody hears of a failed load", f"Subscribe somebody to {arn}."
        )
    elif len(pending) < len(found):
        yield ok("topic", f"{count(len(found) - len(pending), 'confirmed subscription')}")


def reports(site: DeployedService) -> Iterator[Finding]:
    """Rejected rows can be kept."""
    bucket = site.cli.settings.get("reports")
    if not bucket:
        yield warning(
            "reports", "rejected rows are not kept, and Anaplan deletes them after two days", "Name a reports bucket."
        )
        return
    site.s3.head_bucket(Bucket=bucket)
    yield ok("reports", f"{bucket} exists")


def dead_letters(site: DeployedService) -> Iterator[Finding]:
    """The function has its dead-letter queue, and that is empty."""
    queue = site.need("queue")
    asked: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "QueueArn"]
    found: Any = site.cli.aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=asked)["Attributes"]
    waiting = int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])
    if site.alias.dead_letters != found["QueueArn"]:
        yield failed("dead letters", "events of failed executions do not go to this queue and are lost", REDEPLOY)
    if waiting:
        yield failed(
            "dead letters",
            f"about {count(waiting, 'event')} whose executions failed",
            "See why and send them again: anaplan-autoload redrive.",
        )
    elif site.alias.dead_letters == found["QueueArn"]:
        yield ok("dead letters", "the queue is empty")
