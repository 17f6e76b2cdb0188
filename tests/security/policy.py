"""What the template allows the function, and what a call to AWS needs: both as IAM actions on ARNs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from msgspec import Struct
from samtranslator.yaml_helper import yaml_parse  # reads `!Ref` and its like

Json = dict[str, Any]
"""A part of a template."""

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
ROLE = "Role"
NO_VALUE = "AWS::NoValue"


class Need(Struct, frozen=True, order=True):
    """One permission that a call needs."""

    action: str
    """`s3:GetObject`."""
    arn: str


class Statement(Struct, frozen=True):
    """One statement of the function's role."""

    policy: str
    """The policy's name."""
    sid: str
    actions: tuple[str, ...]
    arns: tuple[str, ...]

    def allows(self, need: Need) -> bool:
        """Whether it grants this permission; `*` in an ARN stands for anything, as in IAM."""
        return need.action in self.actions and any(fnmatchcase(need.arn, arn) for arn in self.arns)


class Resolver:
    """Resolves a template's functions, for parameters and ARNs that are given."""

    def __init__(self, template: Json, values: Mapping[str, str | list[str]]) -> None:
        """`values`: what `Ref` gives for parameters, resources and AWS's own; `Name.Arn` for attributes."""
        self._conditions: Json = template["Conditions"]
        defaults = {name: each["Default"] for name, each in template["Parameters"].items() if "Default" in each}
        self._values: dict[str, Any] = {**defaults, **values}

    def resolve(self, part: Any) -> Any:
        """The part without functions; a list loses what is `AWS::NoValue`."""
        if isinstance(part, list):
            return [each for each in map(self.resolve, part) if each != NO_VALUE]
        if not isinstance(part, dict):
            return part
        match part:
            case {"Ref": name}:
                return NO_VALUE if name == NO_VALUE else self._values[name]
            case {"Fn::GetAtt": name}:
                return self._values[name if isinstance(name, str) else ".".join(name)]
            case {"Fn::Sub": argument}:
                return self._substituted(argument)
            case {"Fn::If": [condition, then, otherwise]}:
                return self.resolve(then if self.holds(self._conditions[condition]) else otherwise)
            case {"Fn::Join": [separator, parts]}:
                return str(separator).join(self._list(parts))
            case {"Fn::Split": [separator, text]}:
                return str(self.resolve(text)).split(separator)
        return {name: self.resolve(each) for name, each in part.items()}

    def holds(self, condition: Json) -> bool:
        """Whether a condition of the template is met."""
        match condition:
            case {"Fn::Equals": [one, other]}:
                return bool(self.resolve(one) == self.resolve(other))
            case {"Fn::Not": [inner]}:
                return not self.holds(inner)
            case {"Fn::Or": alternatives}:
                return any(map(self.holds, alternatives))
            case {"Condition": name}:
                return self.holds(self._conditions[name])
        raise ValueError(f"a condition of an unknown form: {condition}")

    def _list(self, parts: Any) -> list[str]:
        """CloudFormation reads a comma-delimited parameter's default as a list."""
        resolved = self.resolve(parts)
        return resolved.split(",") if isinstance(resolved, str) else resolved

    def _substituted(self, argument: Any) -> str:
        text, local = (argument, {}) if isinstance(argument, str) else argument
        values = {**self._values, **{name: self.resolve(each) for name, each in local.items()}}
        for name, value in values.items():
            if isinstance(value, str):
                text = text.replace("${" + name + "}", value)
        return str(text)


def load_template() -> Json:
    """The template as it is written, its short forms spelled out."""
    template: Json = yaml_parse(TEMPLATE.read_text())  # type: ignore[no-untyped-call]
    return template


def statements(values: Mapping[str, str | list[str]], role: str = ROLE) -> list[Statement]:
    """All that a role is allowed, its own policies and those attached to it."""
    template = load_template()
    resolver = Resolver(template, values)
    found: list[Statement] = []
    for policy in _policies(template, resolver, role):
        for each in resolver.resolve(policy["PolicyDocument"]["Statement"]):
            if each["Effect"] != "Allow":
                raise ValueError(f"{each['Sid']}: a denial in the role's policy is not understood here")
            actions, arns = _tuple(each["Action"]), _tuple(each["Resource"])
            found.append(Statement(policy["PolicyName"], each["Sid"], actions, arns))
    return found


def _policies(template: Json, resolver: Resolver, role: str) -> Iterator[Json]:
    for name, resource in template["Resources"].items():
        if "Condition" in resource and not resolver.holds(template["Conditions"][resource["Condition"]]):
            continue
        if name == role:
            yield from resource["Properties"]["Policies"]
        elif resource["Type"] == "AWS::IAM::Policy" and {"Ref": role} in resource["Properties"]["Roles"]:
            yield resource["Properties"]


def _tuple(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


# What calls need: the service authorization reference, for the calls that the function may make.


def needs(service: str, operation: str, params: Mapping[str, Any], place: str) -> list[Need]:
    """The permissions that a call needs; `place` is `<region>:<account>`. Raises ValueError for an unknown call."""
    match service:
        case "dynamodb":
            return list(_of_dynamodb(operation, params, f"arn:aws:dynamodb:{place}:table/"))
        case "s3":
            return list(_of_s3(operation, params))
        case "events" if operation == "PutEvents":
            return [Need("events:PutEvents", f"arn:aws:events:{place}:event-bus/default")]
        case "sns" if operation == "Publish":
            return [Need("sns:Publish", params["TopicArn"])]
        case "secretsmanager":
            return [Need(f"secretsmanager:{operation}", f"arn:aws:secretsmanager:{place}:secret:{params['SecretId']}")]
        case "lambda" if operation == "Invoke":
            name = params["FunctionName"].rpartition(":function:")[2]
            return [Need("lambda:InvokeFunction", f"arn:aws:lambda:{place}:function:{name}")]
    raise ValueError(f"{service} {operation}: what it needs is not known here; add it, and to the template")


def _of_dynamodb(operation: str, params: Mapping[str, Any], tables: str) -> Iterator[Need]:
    match operation:
        case "TransactWriteItems" | "TransactGetItems":
            for item in params["TransactItems"]:
                [(kind, request)] = item.items()
                action = "ConditionCheckItem" if kind == "ConditionCheck" else f"{kind}Item"
                yield Need(f"dynamodb:{action}", tables + request["TableName"])
        case "BatchGetItem" | "BatchWriteItem":
            for table in params["RequestItems"]:
                yield Need(f"dynamodb:{operation}", tables + table)
        case _:
            index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
            yield Need(f"dynamodb:{operation}", tables + params["TableName"] + index)


_S3_ACTIONS = {
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "HeadObject": "GetObject",
    "ListParts": "ListMultipartUploadParts",
}
"""Operations whose action has another name."""


def _of_s3(operation: str, params: Mapping[str, Any]) -> Iterator[Need]:
    if operation == "ListObjectVersions":
        yield Need("s3:ListBucketVersions", f"arn:aws:s3:::{params['Bucket']}")
        return
    if operation == "ListObjectsV2":
        yield Need("s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}")
        return
    action = _S3_ACTIONS.get(operation, operation)
    if action == "GetObject" and params.get("VersionId"):
        action = "GetObjectVersion"
    yield Need(f"s3:{action}", f"arn:aws:s3:::{params['Bucket']}/{params['Key']}")
    if "Tagging" in params:
        yield Need("s3:PutObjectTagging", f"arn:aws:s3:::{params['Bucket']}/{params['Key']}")
    if "CopySource" in params:
        bucket, key, version = _source(params["CopySource"])
        yield Need("s3:GetObjectVersion" if version else "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")


def _source(source: str | Mapping[str, str]) -> tuple[str, str, str | None]:
    """Bucket, key and version of a copy's source, before or after botocore has made text of it."""
    if not isinstance(source, str):
        return source["Bucket"], source["Key"], source.get("VersionId")
    place, _, query = source.partition("?")
    bucket, _, key = unquote(place).lstrip("/").partition("/")
    return bucket, key, next(iter(parse_qs(query).get("versionId", ())), None)
