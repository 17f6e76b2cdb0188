"""A stand-in for AWS's own command line, which is not a dependency of this project: two of its commands, the same
calls.

It is run as `aws s3 cp FILE s3://bucket/key` and `aws secretsmanager put-secret-value --secret-id ID --secret-string
file://FILE`, and prints what the original prints.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3


def main(arguments: list[str]) -> None:
    """Do what is asked; raises ValueError for anything else."""
    match arguments:
        case ["s3", "cp", file, url] if url.startswith("s3://"):
            bucket, _, key = url.removeprefix("s3://").partition("/")
            boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=Path(file).read_bytes())
            print(f"upload: ./{file} to {url}")
        case ["secretsmanager", "put-secret-value", "--secret-id", secret_id, "--secret-string", file]:
            value = Path(file.removeprefix("file://")).read_text()
            answer = boto3.client("secretsmanager").put_secret_value(SecretId=secret_id, SecretString=value)
            shown = {name: answer.get(name) for name in ("ARN", "Name", "VersionId", "VersionStages")}
            print(json.dumps(shown, indent=4))
        case _:
            raise ValueError(f"the stand-in for aws does not know: {' '.join(arguments)}")


if __name__ == "__main__":
    main(sys.argv[1:])
