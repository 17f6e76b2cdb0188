"""The steps from nothing to the first load: which are done, which is next, and with which command. Pure."""

from __future__ import annotations

import json
from shlex import quote
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload_cli.init.answers import AUTH, CLOUDWORKS
from anaplan_autoload_cli.init.first_route import NoRoute, keys_of, prefix_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anaplan_autoload_cli.init.answers import Answers
    from anaplan_autoload_cli.init.progress import Seen

State = Literal["done", "next", "later", "unknown"]
EXAMPLE = "incoming/accounts/accounts.csv"


class Step(Struct, frozen=True):
    """One step."""

    name: str
    state: State
    what: str
    """One sentence: what to do, or what was found."""
    commands: tuple[str, ...] = ()
    """The commands to type, in order; empty if the step is done, or is not done by a command."""


class Place(Struct, frozen=True):
    """The names that commands need: of the stack, the routes file and others."""

    stack: str
    config: str
    routes: str
    profile: str | None = None


def steps(answers: Answers, seen: Seen, place: Place) -> list[Step]:
    """All steps in order. The first that is not done is the next one."""
    found = [
        Step("answers", "done", f"They are in {place.config}."),
        _deploy(answers, seen, place),
        *_mail(answers, seen),
        *_bucket(answers, seen),
        _log_in(answers, seen, place),
        _connection(answers, seen, place),
        _integration(answers, seen, place),
        _route(answers, seen, place),
        _push(seen, place),
        _upload(answers, seen, place),
    ]
    if not seen.trouble:  # what was not checked depends on a step that is not done yet
        found = [replace(step, state="later") if step.state == "unknown" else step for step in found]
    first = next((step.name for step in found if step.state != "done"), None)
    return [replace(step, state="next") if step.name == first else step for step in found]


def _state(is_done: bool | None) -> State:
    return "unknown" if is_done is None else "done" if is_done else "later"


def _deploy(answers: Answers, seen: Seen, place: Place) -> Step:
    if seen.deployed:
        return Step("deploy", "done", f"Stack {place.stack} exists.")
    parameters = {
        "AlertEmail": answers.email,
        "ExistingBucketArns": f"arn:{partition(answers.region)}:s3:::{answers.bucket}" if answers.bucket else "",
        "AnaplanAuthUrl": answers.auth_url if answers.auth_url != AUTH else "",
        "CloudWorksUrl": answers.cloudworks_url if answers.cloudworks_url != CLOUDWORKS else "",
    }
    given = " ".join(f"{name}={quote(value)}" for name, value in parameters.items() if value)
    overrides = f" --parameter-overrides {given}" if given else ""
    command = (
        f"sam deploy --stack-name {quote(place.stack)} --region {answers.region}{_profile(place)} --resolve-s3 "
        f"--capabilities CAPABILITY_IAM{overrides}"
    )
    what = "Deploy the stack. docs/install.md has other ways; give them the same parameters."
    if answers.bucket:
        what += f" If {answers.bucket} is encrypted with a KMS key of its own, add ExistingKeyArns=<the key's ARN>."
    if answers.login == "oauth":
        what += " If each use of your refresh token replaces it, add RefreshTokenRotates=true."
    if seen.deployed is None:
        what = f"Check whether stack {place.stack} exists: log in to AWS, and run init again. If it is not, deploy it."
    return Step("deploy", _state(seen.deployed), what, ("sam build", command))


def _mail(answers: Answers, seen: Seen) -> Iterator[Step]:
    if not answers.email:
        return
    if seen.confirmed:
        yield Step("mail", "done", f"{answers.email} gets the messages.")
        return
    what = f"Open the mail from AWS at {answers.email}, and click Confirm subscription."
    yield Step("mail", _state(seen.confirmed), what)


def _bucket(answers: Answers, seen: Seen) -> Iterator[Step]:
    if not answers.bucket:
        return
    if seen.bucket_tells:
        yield Step("bucket", "done", f"{answers.bucket} sends its events to EventBridge.")
        return
    what = f"In the S3 console, open {answers.bucket}, Properties, Amazon EventBridge, Edit, and choose On."
    yield Step("bucket", _state(seen.bucket_tells), what)


def _log_in(answers: Answers, seen: Seen, place: Place) -> Step:
    """The step that stores the log-in. `init` never asks for it: it goes from a file into the secret."""
    if seen.looked and seen.stored:
        return Step("log-in", "done", "Anaplan accepts it.")
    what = f"{seen.refused} Store another log-in." if seen.refused else _LOG_INS[answers.login]
    secret = quote(seen.outputs.get("SecretArn", "<SecretArn>"))
    put = (
        f"aws secretsmanager put-secret-value --secret-id {secret} --secret-string file://log-in.json "
        f"--region {answers.region}{_profile(place)}"
    )
    store = {
        "password": (put, "rm log-in.json"),
        "certificate": (_PEM_TO_JSON, put, "rm log-in.json"),
        "oauth": ("anaplan-autoload auth login --device --client-id <client id>",),
    }
    commands = (*store[answers.login], "anaplan-autoload auth check")
    return Step("log-in", _state(False if seen.refused else seen.stored and seen.looked), what, commands)


_LOG_INS = {
    "password": 'With an editor, write the file log-in.json with this line: {"username": "…", "password": "…"}. Then '
    "store it. With single sign-on, the user must be an exception user.",
    "certificate": "Make log-in.json of the certificate and its private key, here cert.pem and key.pem, and store it.",
    "oauth": "Confirm the log-in in a browser; the command stores what comes back. It needs an OAuth client for the "
    "device grant, which your Anaplan administrator makes. Anaplan does not allow that grant with single sign-on.",
}
_PEM_TO_JSON = (
    "python3 -c \"import json; print(json.dumps({'certificate': open('cert.pem').read(), 'private_key': "
    "open('key.pem').read()}))\" > log-in.json"
)


def _connection(answers: Answers, seen: Seen, place: Place) -> Step:
    bucket = answers.bucket or seen.bucket
    if seen.connection is not None:
        return Step("connection", "done", f"Connection {seen.connection.name} opens bucket {bucket}.")
    named = quote(bucket or "<InboxBucketName>")
    what = (
        "Make an AWS user with the policy that the first command prints, and a connection with that user's access key."
    )
    commands = (
        f"anaplan-autoload connections policy --bucket {named} --prefix incoming/ --prefix source/",
        f"anaplan-autoload connections create --name inbox --bucket {named} --keys-from <AWS profile> --workspace …",
    )
    return Step("connection", "later" if seen.looked else "unknown", what, commands)


def _integration(answers: Answers, seen: Seen, place: Place) -> Step:
    found = seen.integration
    if found is not None:
        return Step("integration", "done", f"Integration {found.name} exists.")
    if seen.near:
        close = " or ".join(map(repr, seen.near))
        what = f"CloudWorks shows no integration {answers.integration!r}. Did you mean {close}?"
        return Step("integration", "later", what, (f"anaplan-autoload init --integration {quote(seen.near[0])}",))
    what = f"Make the integration {answers.integration}, in CloudWorks or with the command."
    command = (
        f"anaplan-autoload integrations create --name {quote(answers.integration)} --connection inbox --file {EXAMPLE} "
        "--action 112… --data-source 113… --workspace … --model …"
    )
    return Step("integration", "later" if seen.looked else "unknown", what, (command,))


def _route(answers: Answers, seen: Seen, place: Place) -> Step:
    if seen.routed:
        return Step("route", "done", f"{place.routes} runs {answers.integration}.")
    what = f"Run init again when the integration exists: it writes {place.routes}."
    if seen.integration is not None:
        try:
            keys = keys_of(seen.integration)
            what = f"Add to {place.routes} a route with prefix {json.dumps(prefix_of(keys))} for {seen.integration.id}."
        except NoRoute as error:
            what = str(error)
    return Step("route", "later", what)


def _push(seen: Seen, place: Place) -> Step:
    if seen.pushed:
        return Step("push", "done", "The function uses the route.")
    what = "Put the route into use. The command checks it first, and shows what changes."
    return Step("push", _state(seen.pushed), what, (f"anaplan-autoload routes push {quote(place.routes)}",))


def _upload(answers: Answers, seen: Seen, place: Place) -> Step:
    if seen.loaded:
        return Step("upload", "done", "The first load is in the history: anaplan-autoload loads.")
    bucket = answers.bucket or seen.bucket or "<InboxBucketName>"
    key = EXAMPLE
    if seen.integration is not None:
        try:
            key = keys_of(seen.integration)[0]
        except NoRoute:
            key = "<the key that the integration reads>"
    name = key.rpartition("/")[2]
    command = f"aws s3 cp {quote(name)} {quote(f's3://{bucket}/{key}')} --region {answers.region}{_profile(place)}"
    what = "Upload a file, and read the mail. If nothing happens, doctor says why."
    return Step("upload", _state(seen.loaded), what, (command, "anaplan-autoload loads", "anaplan-autoload doctor"))


def _profile(place: Place) -> str:
    return f" --profile {quote(place.profile)}" if place.profile else ""


def partition(region: str) -> str:
    """The AWS partition of a Region, as in ARNs."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
