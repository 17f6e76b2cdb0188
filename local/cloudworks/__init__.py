"""A faithful fake of Anaplan's authentication service and of CloudWorks 2/0: runs really load CSV files from S3.

```python
simulator = Simulator(S3Buckets(boto3.client("s3")), settings=SimulatorSettings(pace=Pace(run_seconds=0.5)))
ids = seed(simulator, "finance-inbox", [("Accounts", "incoming/accounts/accounts.csv")])
with serve(simulator) as serving:
    ...  # point a client to serving.auth_url and serving.cloudworks_url, as USERNAME with PASSWORD
assert simulator.runs[0].source_etag == uploaded_etag
```
"""

from local.cloudworks.buckets import Buckets, MemoryBuckets, S3Buckets, StoredObject
from local.cloudworks.faults import Fault
from local.cloudworks.http_messages import Answer, Request
from local.cloudworks.runs import FlowRun, Overlap, Result, Run, Source
from local.cloudworks.seeding import DISPLAY_NAME, PASSWORD, USERNAME, WORKSPACE_ID, Seeded, seed
from local.cloudworks.server import Serving, serve
from local.cloudworks.settings import Pace, SimulatorSettings, Variants
from local.cloudworks.simulator import Reply, Seen, Simulator
from local.cloudworks.tenant import OAuthClient, User

__all__ = [
    "DISPLAY_NAME",
    "PASSWORD",
    "USERNAME",
    "WORKSPACE_ID",
    "Answer",
    "Buckets",
    "Fault",
    "FlowRun",
    "MemoryBuckets",
    "OAuthClient",
    "Overlap",
    "Pace",
    "Reply",
    "Request",
    "Result",
    "Run",
    "S3Buckets",
    "Seeded",
    "Seen",
    "Serving",
    "Simulator",
    "SimulatorSettings",
    "Source",
    "StoredObject",
    "User",
    "Variants",
    "seed",
    "serve",
]
