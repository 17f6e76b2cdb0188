"""The least that CloudWorks needs in S3."""

from __future__ import annotations

INFERRED = (
    "Anaplan does not publish the least policy. This one is inferred from what CloudWorks does: find the bucket, list "
    'a folder, read (and write) its files. If a connection is refused ("Bucket access denied"), first try '
    "s3:ListBucket without its condition."
)
"""The note for people who use the policy."""


def least_policy(bucket: str, prefixes: tuple[str, ...], *, export: bool) -> dict[str, object]:
    """An IAM policy for `bucket` and the keys under `prefixes` (none: all); with `export`, for writing too."""
    arn = f"arn:aws:s3:::{bucket}"
    keys = [f"{arn}/{prefix}*" for prefix in prefixes] or [f"{arn}/*"]
    listing: dict[str, object] = {
        "Sid": "ListTheFiles",
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": arn,
    }
    if prefixes:
        listing["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "FindTheBucket", "Effect": "Allow", "Action": "s3:GetBucketLocation", "Resource": arn},
            listing,
            {
                "Sid": "ReadAndWriteTheFiles" if export else "ReadTheFiles",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"] if export else "s3:GetObject",
                "Resource": keys,
            },
        ],
    }
