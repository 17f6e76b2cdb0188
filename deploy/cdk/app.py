"""Autoload for Anaplan with CDK, from the files that `make package` writes to dist/.

The template stays the one description of what is deployed: CDK uploads it and the zip, and nests it as a stack.
`CfnInclude` would not do, because it rejects SAM's references to the function's alias.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import App, CfnOutput, CfnStack, Stack
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

DIST = Path(__file__).parents[2] / "dist"


class Autoload(Construct):
    """Autoload as a nested stack, to be used in a stack of yours."""

    def __init__(
        self, scope: Construct, name: str, *, zip_file: Path, template: Path, parameters: Mapping[str, str]
    ) -> None:
        """`parameters`: the template's, such as `{"AlertEmail": "finance@example.com"}`."""
        super().__init__(scope, name)
        code = Asset(self, "Code", path=str(zip_file))
        place = {"CodeBucket": code.s3_bucket_name, "CodeKey": code.s3_object_key}
        url = Asset(self, "Template", path=str(template)).http_url
        self.stack = CfnStack(self, "Stack", template_url=url, parameters={**parameters, **place})

    def output(self, name: str) -> str:
        """An output of the template, such as `InboxBucketName` or `SecretArn`."""
        return self.stack.get_att(f"Outputs.{name}").to_string()


def released(suffix: str, architecture: str) -> Path:
    """The release's file in dist/; raises `SystemExit` where there is none, or more than one."""
    found = sorted(DIST.glob(f"anaplan-autoload-*-{architecture}.{suffix}"))
    if len(found) != 1:
        raise SystemExit(f"{DIST} has {len(found)} files *-{architecture}.{suffix}, not one. Call make package first.")
    return found[0]


def main() -> None:
    """An app with Autoload alone; `cdk deploy --context email=finance@example.com` sets `AlertEmail`."""
    app = App()
    architecture = app.node.try_get_context("architecture") or "arm64"
    email = app.node.try_get_context("email")
    stack = Stack(app, "anaplan-autoload")
    autoload = Autoload(
        stack,
        "Autoload",
        zip_file=released("zip", architecture),
        template=released("yaml", architecture),
        parameters={"AlertEmail": email} if email else {},
    )
    for name in ("InboxBucketName", "SecretArn"):
        CfnOutput(stack, name, value=autoload.output(name))
    CfnOutput(stack, "StackName", value=autoload.stack.ref, description="What --stack of anaplan-autoload takes.")
    app.synth()


if __name__ == "__main__":
    main()
