"""What `template.yaml` promises beyond what linters know: its parameters' bounds, its order, its names, its alarms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse  # reads `!Ref` and its like

from anaplan_autoload.anaplan.http import Answer, answer_kind
from anaplan_autoload.aws.settings import from_environment
from anaplan_autoload.domain.events import Reconcile, Sweep, parse
from anaplan_autoload.report.metrics import (
    count_answers,
    count_reconciled,
    count_refused_listing,
    count_sweep,
    count_unreadable_routes,
    count_unrouted,
    log_in_days_left,
    oldest_waiting,
    write_metrics,
)
from anaplan_autoload.report.report import Report
from anaplan_autoload_cli.service.doctor import STACK_NAME_MAX
from local.aws.journal import metrics
from tests.security.policy import Resolver

Json = dict[str, Any]
"""A part of a template."""

ROOT = Path(__file__).parents[2]


@cache
def _parsed() -> Json:
    read: Json = yaml_parse((ROOT / "template.yaml").read_text())  # type: ignore[no-untyped-call]
    return read


def template() -> Json:
    """The template as it is written, its short forms spelled out."""
    return deepcopy(_parsed())


def expanded(**parameters: str) -> Json:
    """The template as CloudFormation sees it, with these parameters."""
    return deepcopy(_expanded(tuple(parameters.items())))


@cache
def _expanded(parameters: tuple[tuple[str, str], ...]) -> Json:
    source = template()
    for name in ("Autoload", "Page"):
        source["Resources"][name]["Properties"]["CodeUri"] = "s3://packaged/function.zip"
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="eu-west-1"))
    translated: Json = translator.translate(source, parameter_values=dict(parameters))
    return translated


def of_type(kind: str, resources: Json) -> dict[str, Json]:
    """The resources of one type, by logical id."""
    return {name: each for name, each in resources.items() if each["Type"] == kind}


def referred_to(part: Any) -> Iterator[str]:
    """The logical ids that a part of a template names, whichever way."""
    match part:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::If": [str(condition), *branches]}:
            yield from referred_to(template()["Conditions"][condition])
            yield from referred_to(branches)
        case {"Fn::Sub": text}:
            yield from re.findall(r"\$\{(\w+)", text if isinstance(text, str) else text[0])
            yield from referred_to(text[1:] if isinstance(text, list) else [])
        case dict():
            for each in part.values():
                yield from referred_to(each)
        case list():
            for each in part:
                yield from referred_to(each)


# Parameters.


def test_a_lease_always_outlasts_the_timeout_and_the_longest_wait_by_a_minute() -> None:
    parameters, function = template()["Parameters"], template()["Resources"]["Autoload"]["Properties"]
    longest = function["Timeout"] + parameters["PollMaxSeconds"]["MaxValue"] + 60

    assert parameters["LeaseSeconds"]["MinValue"] >= longest
    assert function["Environment"]["Variables"]["LEASE_SECONDS"] == {"Ref": "LeaseSeconds"}
    assert function["Environment"]["Variables"]["POLL_MAX_SECONDS"] == {"Ref": "PollMaxSeconds"}


def test_every_parameter_says_what_it_is_for_and_refuses_what_cannot_be() -> None:
    for name, parameter in template()["Parameters"].items():
        bounds = {"AllowedPattern", "AllowedValues", "MinValue"} & parameter.keys()
        assert parameter["Description"].endswith("."), name
        assert bounds, f"{name} takes anything"


def test_every_default_is_allowed() -> None:
    for name, parameter in template()["Parameters"].items():
        default = parameter["Default"]
        assert re.search(parameter.get("AllowedPattern", ""), str(default)), name
        assert default in parameter.get("AllowedValues", [default]), name
        if parameter["Type"] == "Number":
            assert parameter.get("MinValue", default) <= default <= parameter.get("MaxValue", default), name


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("CloudWorksUrl", "https://api.cloudworks.au1a.app2.anaplan.com/2/0", True),
        ("CloudWorksUrl", "http://api.cloudworks.anaplan.com/2/0", False),
        ("CloudWorksUrl", "https://user:password@example.com/2/0", False),
        ("CloudWorksUrl", "https://api.cloudworks.anaplan.com/2/0/", False),
        ("AnaplanAuthUrl", "https://us9.auth.anaplan.com", True),
        ("AnaplanAuthUrl", "https://auth.anaplan.com/token", False),
        ("SecretArn", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:anaplan/ci-AbCdEf", True),
        ("SecretArn", "anaplan/ci", False),
        ("SecretArn", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:*", False),
        ("ExistingBucketArns", "arn:aws-us-gov:s3:::finance-inbox", True),
        ("ExistingBucketArns", "finance-inbox", False),
        ("ExistingBucketArns", "arn:aws:s3:::*", False),
        ("ExistingBucketArns", "arn:aws:s3:::finance-inbox/incoming", False),
        ("ExistingKeyArns", "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", True),
        ("ExistingKeyArns", "arn:aws:kms:eu-west-1:111122223333:alias/finance", False),
        ("AlertEmail", "model.builders@example.com", True),
        ("AlertEmail", "a@example.com,b@example.com", False),
        ("Contact", "finance-systems@example.com, or #anaplan in Teams", True),
        ("Contact", "x", True),
        ("Contact", "two\nlines", False),
        ("Contact", " ", False),
    ],
)
def test_a_mistyped_parameter_is_refused_before_anything_is_created(name: str, value: str, allowed: bool) -> None:
    pattern = template()["Parameters"][name]["AllowedPattern"]

    assert bool(re.search(pattern, value)) == allowed


def test_the_function_understands_its_environment() -> None:
    parameters = template()["Parameters"]
    variables = template()["Resources"]["Autoload"]["Properties"]["Environment"]["Variables"]
    environment = {
        name: str(parameters.get(value.get("Ref"), {}).get("Default", "made")) if isinstance(value, dict) else value
        for name, value in variables.items()
    }

    settings = from_environment({**environment, "AWS_LAMBDA_FUNCTION_NAME": "autoload"})

    assert settings.cloudworks_url == "https://api.cloudworks.anaplan.com/2/0"
    assert settings.auth_url == "https://auth.anaplan.com"
    assert (settings.poll_min, settings.poll_max, settings.lease) == (2, 60, 180)
    assert settings.function == "autoload:live"
    assert settings.contact is None
    assert settings.password_days == 0
    assert settings.routes_file is None


def test_routes_in_the_package_take_the_place_of_the_ledgers() -> None:
    variables = template()["Resources"]["Autoload"]["Properties"]["Environment"]["Variables"]
    assert variables["ROUTES_FILE"] == "", "sam local sets only variables that the template declares"
    environment = {
        name: value if isinstance(value, str) else "https://example.com" for name, value in variables.items()
    }
    environment |= {"AWS_LAMBDA_FUNCTION_NAME": "autoload", "POLL_MAX_SECONDS": "60", "LEASE_SECONDS": "180"}
    environment |= {"DIGEST_AFTER": "5", "DIGEST_MINUTES": "10", "PASSWORD_DAYS": "90", "PUBLISH_EVENTS": "false"}

    assert from_environment({**environment, "ROUTES_FILE": "routes.toml"}).routes_file == Path("routes.toml")


@pytest.mark.parametrize(("value", "contact"), [("#anaplan in Teams", "#anaplan in Teams"), ("", None), (" ", None)])
def test_the_contact_of_the_messages_is_read_from_the_environment(value: str, contact: str | None) -> None:
    names = ("ANAPLAN_SECRET_ID", "LEDGER_TABLE", "TOPIC_ARN", "ANAPLAN_AUTH_URL", "CLOUDWORKS_URL")
    environment = dict.fromkeys((*names, "AWS_LAMBDA_FUNCTION_NAME"), "https://example.com")

    assert from_environment({**environment, "CONTACT": value}).contact == contact
    assert from_environment(environment).contact is None


# What CloudFormation makes of it.


@pytest.mark.parametrize("parameters", [{}, {"ExistingBucketArns": "arn:aws:s3:::finance"}])
def test_no_resource_waits_for_itself(parameters: dict[str, str]) -> None:
    """The inbox notifies the alias, the function needs its role: a role that named the inbox would close a circle."""
    resources = expanded(**parameters)["Resources"]
    waits_for = {
        name: {*referred_to(each), *each.get("DependsOn", [])} & resources.keys() for name, each in resources.items()
    }

    order = list(TopologicalSorter(waits_for).static_order())

    assert order.index("Autoload") < order.index("Inbox") < order.index("InboxPolicy")
    assert order.index("Inbox") < order.index("AutoloadSweep"), "the schedule tells the function the inbox's name"


SWEPT = {"AWS::Partition": "aws", "Inbox.Arn": "arn:aws:s3:::inbox"}


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ({}, Sweep(Reconcile(3600, ("inbox",)))),
        ({"Reconcile": "off"}, Sweep()),
        (
            {"Reconcile": "15m", "ExistingBucketArns": ["arn:aws:s3:::finance", "arn:aws:s3:::sales"]},
            Sweep(Reconcile(900, ("inbox", "finance", "sales"))),
        ),
    ],
)
def test_the_function_understands_the_schedules_sweep(values: dict[str, Any], meant: Sweep) -> None:
    [target] = expanded()["Resources"]["AutoloadSweep"]["Properties"]["Targets"]

    text = Resolver(template(), {**SWEPT, **values}).resolve(target["Input"])

    assert parse(msgspec.json.decode(text)) == meant


def test_every_time_between_two_rounds_that_can_be_chosen_is_understood() -> None:
    chosen = set(template()["Parameters"]["Reconcile"]["AllowedValues"]) - {"off"}

    for every in chosen:
        swept = parse({"sweep": True, "reconcile": {"every": every, "buckets": "arn:aws:s3:::inbox"}})
        assert isinstance(swept, Sweep)
        assert swept.reconcile is not None
    assert len(chosen) > 1


def test_a_changed_parameter_reaches_the_alias() -> None:
    """The alias points to a version, and CloudFormation makes a new one when the version's description changes."""
    parameters, function = template()["Parameters"], template()["Resources"]["Autoload"]["Properties"]
    used = chosen_by({**function, "VersionDescription": None, "Events": None}) & parameters.keys()
    [version] = of_type("AWS::Lambda::Version", expanded()["Resources"]).values()

    assert {"CloudWorksUrl", "LeaseSeconds", "Tracing", "AlertEmail", "SlackChannel"} <= used
    assert chosen_by(version["Properties"]["Description"]) & parameters.keys() == used


def chosen_by(part: Any) -> set[str]:
    """What a part of a template refers to, by itself or through the conditions that it names."""
    found = set(referred_to(part))
    for name, condition in template()["Conditions"].items():
        if f"'Fn::If': ['{name}'" in str(part) or part == {"Condition": name}:
            found |= set().union(*map(chosen_by, next(iter(condition.values())))) | set(referred_to(condition))
    return found


def test_the_versions_description_is_as_short_as_lambda_wants_it() -> None:
    parameters = template()["Parameters"]
    longest = {
        name: str(max(each.get("AllowedValues", [each.get("MaxValue", "")]), key=lambda value: len(str(value))))
        for name, each in parameters.items()
    }
    for name, start in {
        "CloudWorksUrl": "https://",
        "AnaplanAuthUrl": "https://",
        "SecretArn": "arn:aws:secretsmanager:us-east-1:111122223333:secret:",
        "Contact": "",
    }.items():
        longest[name] = start.ljust(parameters[name]["MaxLength"], "x")

    for name, value in {
        "AlertEmail": "a@b.example",
        "SlackChannel": "T/C",
        "PublishEvents": "true",
        "Tracing": "Active",
    }.items():
        longest[name] = value

    described = version_description(longest)

    assert len(described) <= 256
    assert all(
        longest[name] in described
        for name in (
            "PollMaxSeconds",
            "LeaseSeconds",
            "PasswordDays",
            "DigestMinutes",
            "LogLevel",
            "Architecture",
            "Contact",
        )
    )


ONE_SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:anaplan/ci-AbCdEf"


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("PollMaxSeconds", "60", "30"),
        ("LeaseSeconds", "180", "181"),
        ("PasswordDays", "0", "90"),
        ("LogLevel", "INFO", "DEBUG"),
        ("Tracing", "PassThrough", "Active"),
        ("CloudWorksUrl", "https://api.cloudworks.anaplan.com/2/0", "https://api.cloudworks.anaplan.com/2/1"),
        ("AnaplanAuthUrl", "https://auth.anaplan.com", "https://us9.auth.anaplan.com"),
        ("SecretArn", "", ONE_SECRET),
        ("SecretArn", ONE_SECRET, ONE_SECRET.replace("AbCdEf", "AbCdEg")),
        ("SecretArn", ONE_SECRET, ONE_SECRET.replace("eu-west-1", "eu-west-2")),
        ("Contact", "", "x"),
        ("AlertEmail", "", "finance@example.com"),
        ("SlackChannel", "", "T0123ABCDEF/C0123ABCDEF"),
        ("PublishEvents", "false", "true"),
        ("DigestAfter", "5", "0"),
        ("DigestMinutes", "10", "60"),
    ],
)
def test_another_value_makes_another_description(name: str, one: str, other: str) -> None:
    defaults = {name: str(each["Default"]) for name, each in template()["Parameters"].items()}

    assert version_description({**defaults, name: one}) != version_description({**defaults, name: other})


def version_description(parameters: dict[str, str]) -> str:
    """The version's description as CloudFormation resolves it."""
    [version] = of_type("AWS::Lambda::Version", expanded()["Resources"]).values()
    text: str = resolved(version["Properties"]["Description"], parameters)
    return text


def resolved(part: Any, values: dict[str, str]) -> Any:
    """What CloudFormation makes of the functions that a description uses."""
    match part:
        case {"Ref": name}:
            return values[name]
        case {"Fn::If": [condition, then, otherwise]}:
            holds = Resolver(template(), values).holds({"Condition": condition})
            return resolved(then if holds else otherwise, values)
        case {"Fn::Join": [separator, parts]}:
            return separator.join(resolved(parts, values))
        case {"Fn::Split": [separator, text]}:
            return resolved(text, values).split(separator)
        case {"Fn::If": [condition, met, otherwise]}:
            [name, value] = template()["Conditions"][condition]["Fn::Equals"]
            return met if resolved(name, values) == value else otherwise
        case {"Fn::Select": [index, parts]}:
            return resolved(parts, values)[int(index)]
        case {"Fn::Sub": [text, more]}:
            return substituted(text, values | {name: resolved(each, values) for name, each in more.items()})
        case {"Fn::Sub": text}:
            return substituted(text, values)
        case _:
            return part


def substituted(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], text)


def test_executions_keep_the_version_that_they_began_on() -> None:
    [version] = of_type("AWS::Lambda::Version", expanded()["Resources"]).values()

    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_the_function_is_reached_through_its_alias_alone() -> None:
    resources = expanded()["Resources"]
    [alias] = of_type("AWS::Lambda::Alias", resources)
    [notification] = resources["Inbox"]["Properties"]["NotificationConfiguration"]["LambdaConfigurations"]
    targets = [
        target["Arn"]
        for rule in of_type("AWS::Events::Rule", resources).values()
        for target in rule["Properties"]["Targets"]
    ]
    permitted = [each["Properties"]["FunctionName"] for each in of_type("AWS::Lambda::Permission", resources).values()]

    assert len(targets) == 2
    assert all(arn == {"Ref": alias} for arn in [notification["Function"], *targets, *permitted])


def test_what_holds_data_outlives_the_stack() -> None:
    resources = expanded()["Resources"]
    [version] = of_type("AWS::Lambda::Version", resources)
    kept = {name for name, each in resources.items() if each.get("DeletionPolicy") == "Retain"} - {version}

    assert kept == {"Inbox", "Ledger", "Reports", "Secret", "TopicKey"}
    assert all(resources[name]["UpdateReplacePolicy"] == "Retain" for name in kept)


def test_existing_buckets_send_their_uploads_and_nothing_else() -> None:
    pattern = template()["Resources"]["ExistingBucketsRule"]["Properties"]["EventPattern"]
    event = msgspec.json.decode((ROOT / "events/eventbridge-object-created.json").read_bytes(), type=dict[str, Any])

    assert pattern["resources"] == {"Ref": "ExistingBucketArns"}
    assert event["resources"] == [f"arn:aws:s3:::{event['detail']['bucket']['name']}"]
    assert {field: event[field] in pattern[field] for field in ("source", "detail-type")} == {
        "source": True,
        "detail-type": True,
    }


def test_an_event_that_cannot_be_delivered_is_kept_for_two_weeks() -> None:
    resources = expanded()["Resources"]
    [target] = resources["ExistingBucketsRule"]["Properties"]["Targets"]
    queue = {"Fn::GetAtt": ["DeadLetters", "Arn"]}

    assert resources["Autoload"]["Properties"]["DeadLetterConfig"]["TargetArn"] == queue
    assert target["DeadLetterConfig"]["Arn"] == queue
    assert resources["DeadLetters"]["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_every_alarm_goes_to_the_topic_and_only_the_watchdog_rings_without_data() -> None:
    assert alarms()
    for alarm in alarms().values():
        assert alarm["Properties"]["AlarmActions"] == [
            {"Ref": "Topic"},
            {"Fn::If": ["HasAlertEmail", {"Ref": "MailTopic"}, {"Ref": "AWS::NoValue"}]},
            {"Fn::If": ["HasChat", {"Ref": "ChatTopic"}, {"Ref": "AWS::NoValue"}]},
        ]
    without_data = {name: alarm["Properties"]["TreatMissingData"] for name, alarm in alarms().items()}
    assert without_data.pop("SweepMissingAlarm") == "breaching"
    assert set(without_data.values()) == {"notBreaching"}


def test_the_operations_page_has_a_section_for_each_alarm_that_begins_with_its_description() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^### (\w+Alarm)\n\n((?:> .*\n)+)\n[^#\n]", page, re.M)

    assert len(quoted) == len(alarms())
    assert {name: " ".join(text.replace("> ", "").split()) for name, text in quoted} == {
        name: described(alarm) for name, alarm in alarms().items()
    }


def described(alarm: Json) -> str:
    """An alarm's description, for a stack that is called STACK."""
    text = alarm["Properties"]["AlarmDescription"]
    names = {"${AWS::StackName}": "STACK", "${LogGroup}": "/aws/lambda/STACK"}
    for name, value in names.items():
        text = text["Fn::Sub"] if isinstance(text, dict) else text
        text = text.replace(name, value)
    return " ".join(text.split())


def test_every_alarms_description_begins_with_a_step_and_fits_into_a_message() -> None:
    for name, alarm in alarms().items():
        verb = described(alarm).split()[0]
        assert verb in {"Ask", "Check", "Find", "Renew", "See"}, name
        assert len(described(alarm)) + STACK_NAME_MAX * 2 <= 1024, name


@pytest.mark.parametrize(
    ("days", "ringing"),
    [
        (15.0, 0),
        (13.9, 1),
        (6.9, 2),
        (0.9, 3),
        (-2.0, 3),
    ],
)
def test_one_alarm_after_another_rings_as_the_log_in_comes_to_its_end(days: float, ringing: int) -> None:
    ends = [each["Properties"] for each in alarms().values() if each["Properties"].get("MetricName") == "LogInDaysLeft"]

    assert {each["ComparisonOperator"] for each in ends} == {"LessThanThreshold"}
    assert sum(days < each["Threshold"] for each in ends) == ringing


def test_the_throttling_alarm_looks_at_a_kind_of_answer_that_there_is() -> None:
    dimensions = alarms()["AnaplanThrottlesAlarm"]["Properties"]["Dimensions"]
    [kind] = [each["Value"] for each in dimensions if each["Name"] == "kind"]

    assert answer_kind(Answer(429, {}, b"")) == kind


def test_people_are_subscribed_where_digests_and_alarms_come_and_nothing_is_filtered() -> None:
    """A filter that leaves out an attribute would leave out alarms, which have none."""
    subscription = template()["Resources"]["AlertSubscription"]["Properties"]

    assert subscription["TopicArn"] == {"Ref": "MailTopic"}
    assert "FilterPolicy" not in subscription


def test_a_chat_channel_can_do_nothing_in_aws() -> None:
    resources = template()["Resources"]
    channels = [each for each in resources.values() if each["Type"].startswith("AWS::Chatbot::")]

    assert len(channels) == 2
    for channel in channels:
        assert channel["Properties"]["IamRoleArn"] == {"Fn::GetAtt": ["ChatRole", "Arn"]}
        assert channel["Properties"]["GuardrailPolicies"] == [
            {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AWSDenyAll"}
        ]
        assert channel["Properties"]["SnsTopicArns"] == [{"Ref": "ChatTopic"}]
    assert resources["ChatRole"]["Properties"].keys().isdisjoint({"Policies", "ManagedPolicyArns"})


@pytest.mark.parametrize(
    ("name", "given", "parts"),
    [
        ("SlackChannel", "T0123ABCDEF/C0123ABCDEF", ["T0123ABCDEF", "C0123ABCDEF"]),
        (
            "TeamsChannel",
            "8b7f4e2a-1c3d-4e5f-8a9b-0c1d2e3f4a5b/1a2b3c4d-5e6f-4a1b-9c2d-3e4f5a6b7c8d/19%3Aab6e%40thread.tacv2",
            [
                "8b7f4e2a-1c3d-4e5f-8a9b-0c1d2e3f4a5b",
                "1a2b3c4d-5e6f-4a1b-9c2d-3e4f5a6b7c8d",
                "19%3Aab6e%40thread.tacv2",
            ],
        ),
    ],
)
def test_a_channel_is_taken_apart_into_its_ids(name: str, given: str, parts: list[str]) -> None:
    resource = template()["Resources"][name.removesuffix("Channel")]["Properties"]
    ids = [value for value in resource.values() if isinstance(value, dict) and "Fn::Select" in value]

    assert re.fullmatch(template()["Parameters"][name]["AllowedPattern"], given)
    assert not re.fullmatch(template()["Parameters"][name]["AllowedPattern"], given.rpartition("/")[0])
    assert sorted(resolved(each, {name: given}) for each in ids) == sorted(parts)


METRICS = {
    "AnaplanThrottlesAlarm": ("AnaplanAnswers", {"kind", "stack"}),
    "FailedLoadsAlarm": ("RunsFailed", {"route", "stack"}),
    "ListingsRefusedAlarm": ("ListingsRefused", {"stack"}),
    "LostUploadsAlarm": ("UploadsReconciled", {"route", "stack"}),
    "LogInEndsIn14DaysAlarm": ("LogInDaysLeft", {"stack"}),
    "LogInEndsIn7DaysAlarm": ("LogInDaysLeft", {"stack"}),
    "LogInEndsTomorrowAlarm": ("LogInDaysLeft", {"stack"}),
    "LogInRefusedAlarm": ("LanesHeld", {"stack"}),
    "SweepMissingAlarm": ("Sweeps", {"stack"}),
    "OldestWaitingAlarm": ("OldestWaitingSeconds", {"route", "stack"}),
    "RoutesUnreadableAlarm": ("RoutesUnreadable", {"stack"}),
    "UnroutedUploadsAlarm": ("UploadsUnrouted", {"stack"}),
}
"""The alarms on the function's own metrics: the metric, and the dimensions that the function writes with it."""


def test_every_alarm_looks_at_its_own_stack_alone() -> None:
    """One account may hold several stacks: what happens in one must not ring the alarm of another."""
    assert template()["Resources"]["Autoload"]["Properties"]["FunctionName"] == {"Ref": "AWS::StackName"}
    for name, alarm in alarms().items():
        for metric in watched(alarm["Properties"]):
            if query := metric.get("Expression"):
                assert "WHERE \"stack\" = '${AWS::StackName}'" in query["Fn::Sub"], name
            else:
                assert {"AWS::StackName", "Autoload", "DeadLetters"} & set(referred_to(metric["Dimensions"])), name


@pytest.mark.parametrize("name", METRICS)
def test_the_alarms_know_the_dimensions_that_the_function_writes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    oldest_waiting({"accounts": 1.0}, stack="autoload")
    count_unrouted(1, stack="autoload")
    count_unreadable_routes(stack="autoload")
    count_reconciled({"accounts": 1}, stack="autoload")
    count_refused_listing(stack="autoload")
    count_answers([("throttled", 1)], stack="autoload")
    log_in_days_left(3.0, stack="autoload")
    count_sweep(1, stack="autoload")
    write_metrics(a_failure(), stack="autoload", oldest="2026-11-24T02:00:00Z")
    written = {metric.name: metric for metric in metrics(capsys.readouterr().out.splitlines())}
    [watches] = watched(alarms()[name]["Properties"])
    metric, dimensions = METRICS[name]

    assert written[metric].dimensions.keys() == dimensions
    if "Expression" in watches:
        names = re.findall(r'"(\w+)"', watches["Expression"]["Fn::Sub"])
        assert names == [metric, written[metric].namespace, *sorted(dimensions), "stack"]
    else:
        assert (watches["Namespace"], watches["MetricName"]) == (written[metric].namespace, metric)
        assert {each["Name"] for each in watches["Dimensions"]} == dimensions


def test_unrouted_uploads_ring_at_most_once_a_day() -> None:
    """An alarm sends a message when it begins to ring, and this one rings for as long as the last 24 hours have any."""
    alarm = alarms()["UnroutedUploadsAlarm"]["Properties"]

    assert alarm["Period"] * alarm["EvaluationPeriods"] == 24 * 3600
    assert (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"]) == ("Sum", "GreaterThanThreshold", 0)
    assert "OKActions" not in alarm
    assert "InsufficientDataActions" not in alarm


def alarms() -> dict[str, Json]:
    return of_type("AWS::CloudWatch::Alarm", template()["Resources"])


def watched(alarm: Json) -> list[Json]:
    """The queries and metrics that an alarm reads; sums of these are left out."""
    if "Metrics" not in alarm:
        return [alarm]
    queries = [each for each in alarm["Metrics"] if "Fn::Sub" in each.get("Expression", "")]
    return queries + [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]


def a_failure() -> Report:
    """A run that failed, with nothing said that metrics do not tell."""
    return Report(
        id="run-1",
        outcome="failed",
        route="accounts",
        run_id="run-1",
        started_at="2026-11-24T02:00:10Z",
        ended_at="2026-11-24T02:01:10Z",
        message="Process failed",
        uploads_total=1,
    )


def test_mails_of_two_stacks_have_two_senders() -> None:
    assert "AWS::StackName" in template()["Resources"]["Topic"]["Properties"]["DisplayName"]["Fn::Sub"]


def test_a_long_chain_of_hand_overs_is_not_stopped_as_a_loop() -> None:
    """Lambda ends what it takes for a loop after about 16 rounds, unless the function is allowed to go on."""
    assert expanded()["Resources"]["Autoload"]["Properties"]["RecursiveLoop"] == "Allow"


NAMED_AFTER_THE_STACK = {
    ("AWS::CloudWatch::Dashboard", "DashboardName"): 255,
    ("AWS::Lambda::Function", "FunctionName"): 64,
    ("AWS::Logs::LogGroup", "LogGroupName"): 512,
    ("AWS::SNS::Topic", "DisplayName"): 100,
    ("AWS::Chatbot::SlackChannelConfiguration", "ConfigurationName"): 128,
    ("AWS::Chatbot::MicrosoftTeamsChannelConfiguration", "ConfigurationName"): 128,
}
"""What bears the stack's name, and how long AWS lets it be."""


def test_the_doctor_knows_how_long_a_stacks_name_may_be() -> None:
    """CloudFormation takes 128 characters, but the function has the stack's name, and its own limit."""
    names = {
        (resource["Type"], name): value.get("Fn::Sub", "${AWS::StackName}")
        for resource in expanded()["Resources"].values()
        for name, value in resource.get("Properties", {}).items()
        if name.endswith("Name") and "AWS::StackName" in referred_or_written(value)
    }

    assert names.keys() == NAMED_AFTER_THE_STACK.keys()
    left = {
        place: NAMED_AFTER_THE_STACK[place] - len(text.replace("${AWS::StackName}", ""))
        for place, text in names.items()
    }
    assert min(left.values()) == STACK_NAME_MAX


def referred_or_written(value: Any) -> str:
    """The reference or the text with references that a name is, else nothing."""
    return str(value) if isinstance(value, dict) and value.keys() <= {"Ref", "Fn::Sub"} else ""


def test_no_output_bears_the_name_of_a_list() -> None:
    """`sam build` takes an output's name for the parameter's value, and fails on a list."""
    lists = {name for name, each in template()["Parameters"].items() if each["Type"] == "CommaDelimitedList"}

    assert lists
    assert lists.isdisjoint(template()["Outputs"])


def test_every_finding_that_is_left_as_it_is_has_its_reason() -> None:
    skips = [
        skip
        for each in template()["Resources"].values()
        for skip in each.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]

    assert skips
    assert all(len(skip["comment"].split()) > 5 for skip in skips)
