"""What AWS charges in us-east-1, in US dollars, without free tiers and discounts.

List prices, noted in November 2026; each service has them at aws.amazon.com/<service>/pricing. Those of durable
functions and DynamoDB were looked up in sources of that year; the others have stood for years and were not looked up
again. Other regions differ. Check them before you rely on a sum: this is the one place to change.
"""

from __future__ import annotations

MILLION = 1_000_000
GIB = 1024**3

DURABLE_OPERATION = 8.00 / MILLION
"""Starts of executions, steps, waits; each retry and each poll is one more."""
DURABLE_BYTE_WRITTEN = 0.25 / GIB
DURABLE_BYTE_MONTH = 0.15 / GIB

LAMBDA_REQUEST = 0.20 / MILLION
LAMBDA_GB_SECOND = 0.0000133334
"""arm64, first tier."""

STATE_TRANSITION = 25.00 / MILLION
"""Step Functions, standard workflows."""

READ_UNIT = 0.125 / MILLION
WRITE_UNIT = 0.625 / MILLION

SNS_REQUEST = 0.50 / MILLION
"""Each 64 KB of a message is one; deliveries to queues and functions are free."""
SNS_EMAIL = 2.00 / 100_000

LOG_BYTE = 0.50 / GIB
SECRET_REQUEST = 0.05 / 10_000
KMS_REQUEST = 0.03 / 10_000

SECRET_MONTH = 0.40
KEY_MONTH = 1.00
ALARM_MONTH = 0.10
"""Each metric that an alarm reads, whether by name, in an expression or through a query."""
METRIC_MONTH = 0.30
"""Each custom metric, counted by the hours in which it was written."""
