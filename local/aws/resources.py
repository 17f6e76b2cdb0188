"""What `template.yaml` describes, created in moto: the template is the only list of resources.

The SAM translator expands the template. Moto's CloudFormation then creates the resources that hold data, the rules of
EventBridge, and the function's configuration with its environment. What that passes over is added from the same
template: the alias and its policy, the buckets' notifications, the function's durable settings and dead-letter queue.
So tools that ask about the service get the answers that they get on AWS. What only protects or observes (policies of
other resources, alarms) is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from msgspec import Struct
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse  # reads `!Ref` and its like

if TYPE_CHECKING:
    from local.aws.clients import Aws

FUNCTION = "Autoload"
ALIAS = "live"
DATA = frozenset(
    {
        "AWS::DynamoDB::Table",
        "AWS::Events::Rule",
        "AWS::IAM::Role",
        "AWS::KMS::Key",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
    }
)
SECONDS = {"minute": 60, "hour": 3600, "day": 86400}

Json = dict[str, Any]
"""A part of a template, in any form that CloudFormation allows."""


class TemplateUnusable(ValueError):
    """The template cannot be created on a laptop; the text says what is missing."""


class Schedule(Struct, frozen=True):
    """An event that the function gets at a fixed rate."""

    every_seconds: float
    event: str
    """JSON."""


class Notifying(Struct, frozen=True):
    """A bucket that notifies the function."""

    bucket: str
    configurations: list[Json]
    """As PutBucketNotificationConfiguration takes them."""


class DeployedFunction(Struct, frozen=True, kw_only=True):
    """The function's configuration as the template has it, every reference resolved."""

    name: str
    handler: str
    timeout_seconds: int
    memory_mb: int
    environment: dict[str, str]
    execution_timeout_seconds: int
    retention_days: int
    dead_letter_queue_url: str
    log_format: str
    configuration: Json
    """What AWS's GetFunctionConfiguration has and moto's lacks."""


class Resources(Struct, frozen=True, kw_only=True):
    """What was created."""

    outputs: dict[str, str]
    """The stack's outputs, by key."""
    physical_ids: dict[str, str]
    """Logical id to name, ARN or URL: what `Ref` gives."""
    function: DeployedFunction
    notifying: tuple[Notifying, ...]
    schedules: tuple[Schedule, ...]


def expand(template: Path, region: str) -> Json:
    """The template with `AWS::Serverless` resources expanded, as CloudFormation would see it."""
    source: Json = yaml_parse(template.read_text())  # type: ignore[no-untyped-call]
    for resource in source["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://packaged/elsewhere.zip"
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=region))
    expanded: Json = translator.translate(source, parameter_values={})
    return expanded


def create(expanded: Json, stack_name: str, parameters: Mapping[str, str], aws: Aws) -> Resources:
    """Create the expanded template's data resources as a stack in the AWS that `aws` reaches.

    Raises `TemplateUnusable` when the template lacks the function.
    """
    resources: Json = expanded["Resources"]
    if FUNCTION not in resources:
        raise TemplateUnusable(f"the template has no function with the logical id {FUNCTION}; the laptop's AWS runs it")
    stand_ins = _secrets(resources, stack_name, aws) | _aliases(resources, stack_name, aws)
    aws.cloudformation.create_stack(
        StackName=stack_name,
        TemplateBody=json.dumps(_data_template(expanded, stand_ins)),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    [stack] = aws.cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    listed = aws.cloudformation.list_stack_resources(StackName=stack_name)["StackResourceSummaries"]
    physical_ids = {entry["LogicalResourceId"]: entry["PhysicalResourceId"] for entry in listed} | stand_ins
    physical_ids.pop("", None)  # how moto lists resources whose condition is false
    for name, resource in resources.items():
        if name in physical_ids:
            _complete(resource, physical_ids[name], aws)
    function = _function(resources[FUNCTION]["Properties"], physical_ids, aws)
    _permit(resources, function.name, physical_ids, aws)
    return Resources(
        outputs={output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]},
        physical_ids=physical_ids,
        function=function,
        notifying=tuple(
            Notifying(physical_ids[name], found)
            for name, resource in resources.items()
            if name in physical_ids and (found := _notifications(resource, physical_ids))
        ),
        schedules=tuple(
            schedule
            for name in physical_ids
            if name in resources
            for schedule in _schedules(resources[name], physical_ids[name], aws)
        ),
    )


def _secrets(resources: Json, stack_name: str, aws: Aws) -> dict[str, str]:
    """Create the secrets, which moto's CloudFormation does not know: logical id to ARN."""
    names = [name for name, resource in resources.items() if resource["Type"] == "AWS::SecretsManager::Secret"]
    return {name: aws.secrets.create_secret(Name=f"{stack_name}-{name}")["ARN"] for name in names}


def _aliases(resources: Json, stack_name: str, aws: Aws) -> dict[str, str]:
    """The ARNs that the function's aliases will have, by logical id."""
    account = aws.sts.get_caller_identity()["Account"]
    return {
        name: f"arn:aws:lambda:{aws.region}:{account}:function:{stack_name}:{ALIAS}"
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Lambda::Alias"
    }


def _data_template(expanded: Json, stand_ins: Mapping[str, str]) -> Json:
    """The expanded template's data resources alone; references to `stand_ins` become references to parameters."""
    kept = {name: resource for name, resource in expanded["Resources"].items() if resource["Type"] in DATA}
    return expanded | {
        "Parameters": expanded.get("Parameters", {})
        | {name: {"Type": "String", "Default": value} for name, value in stand_ins.items()},
        "Resources": {name: _bare(resource) for name, resource in kept.items()},
    }


def _bare(resource: Json) -> Json:
    """A bucket without notifications, a role without policies, a function without code: that runs elsewhere."""
    properties = dict(resource.get("Properties", {}))
    properties.pop("NotificationConfiguration", None)
    properties.pop("Policies", None)
    if resource["Type"] == "AWS::Lambda::Function":
        properties["Code"] = {"ZipFile": "runs outside"}
    return resource | {"Properties": properties}


def _complete(resource: Json, physical_id: str, aws: Aws) -> None:
    """Set what moto's CloudFormation leaves out: a bucket's versioning, a table's time to live."""
    properties = resource.get("Properties", {})
    if versioning := properties.get("VersioningConfiguration"):
        aws.s3.put_bucket_versioning(Bucket=physical_id, VersioningConfiguration=versioning)
    if expiry := properties.get("TimeToLiveSpecification"):
        aws.dynamodb.update_time_to_live(TableName=physical_id, TimeToLiveSpecification=expiry)


def _function(properties: Json, physical_ids: Mapping[str, str], aws: Aws) -> DeployedFunction:
    name = physical_ids[FUNCTION]
    aws.functions.create_alias(FunctionName=name, Name=ALIAS, FunctionVersion="$LATEST")
    configuration = aws.functions.get_function_configuration(FunctionName=name)
    durable = properties.get("DurableConfig", {})
    variables = configuration.get("Environment", {}).get("Variables", {})
    queue = physical_ids[_target(properties["DeadLetterConfig"]["TargetArn"])]
    asked = aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    return DeployedFunction(
        name=name,
        handler=configuration["Handler"],
        timeout_seconds=configuration["Timeout"],
        memory_mb=configuration["MemorySize"],
        environment={key: str(value) for key, value in variables.items()},
        execution_timeout_seconds=durable["ExecutionTimeout"],
        retention_days=durable["RetentionPeriodInDays"],
        dead_letter_queue_url=queue,
        log_format=properties.get("LoggingConfig", {}).get("LogFormat", "Text"),
        configuration={
            "DurableConfig": durable,
            "DeadLetterConfig": {"TargetArn": asked["Attributes"]["QueueArn"]},
        },
    )


def _target(attribute: Json) -> str:
    """The logical id in `{"Fn::GetAtt": [logical id, attribute]}`."""
    logical_id: str = attribute["Fn::GetAtt"][0]
    return logical_id


def _notifications(resource: Json, physical_ids: Mapping[str, str]) -> list[Json]:
    """A bucket's notifications of functions, from CloudFormation's form to S3's."""
    notification = resource.get("Properties", {}).get("NotificationConfiguration", {})
    configurations: list[Json] = []
    for each in notification.get("LambdaConfigurations", []):
        configuration: Json = {"LambdaFunctionArn": physical_ids[each["Function"]["Ref"]], "Events": [each["Event"]]}
        if rules := each.get("Filter", {}).get("S3Key", {}).get("Rules"):
            configuration["Filter"] = {"Key": {"FilterRules": rules}}
        configurations.append(configuration)
    return configurations


def _permit(resources: Json, function: str, physical_ids: Mapping[str, str], aws: Aws) -> None:
    """Give the alias the policy that the template's permissions make; those with a condition are left out."""
    account = aws.sts.get_caller_identity()["Account"]
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] != "AWS::Lambda::Permission" or "Condition" in resource:
            continue
        limits: Json = {"SourceAccount": account} if "SourceAccount" in properties else {}
        if "SourceArn" in properties:
            rule = physical_ids[_target(properties["SourceArn"])]
            limits["SourceArn"] = aws.events.describe_rule(Name=rule.rpartition("/")[2])["Arn"]
        aws.functions.add_permission(
            FunctionName=function,
            Qualifier=ALIAS,
            StatementId=name,
            Action=properties["Action"],
            Principal=properties["Principal"],
            **limits,
        )


def _schedules(resource: Json, physical_id: str, aws: Aws) -> list[Schedule]:
    """The events of a rule with a fixed rate, such as `rate(5 minutes)`, every reference in them resolved."""
    properties = resource.get("Properties", {})
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", str(properties.get("ScheduleExpression", "")))
    if resource["Type"] != "AWS::Events::Rule" or rate is None:
        return []
    every = float(rate[1]) * SECONDS[rate[2]]
    targets = aws.events.list_targets_by_rule(Rule=physical_id.rpartition("/")[2])["Targets"]
    return [Schedule(every, target["Input"]) for target in targets if "Input" in target]
