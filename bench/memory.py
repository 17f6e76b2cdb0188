"""How much memory the function needs, and what a smaller size would save: peak resident memory in AWS's runtime client.

The real function runs under AWS's runtime emulator on this machine, beside moto and the simulator. The peak is Linux's
own (`VmHWM`). How long Lambda bills at each memory size is arithmetic, from the counts of `bench.load_cost`: the
processor time is stretched to the share of a processor, and the waiting stays as it is.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import load_cost, prices
from bench.markdown import table
from local.aws.stack import Options, Stack
from local.cloudworks import Pace, SimulatorSettings
from tests.autoload import Autoload

SIZES = (256, 512)
"""Megabytes."""
KEY = "incoming/accounts.csv"
UPLOADS = (1, 40)
"""Uploads of each round; the peak only grows, and is read after each."""
ENVIRONMENT = {"POLL_MIN_SECONDS": "1", "POLL_MAX_SECONDS": "2", "LEASE_SECONDS": "60"}
RUNTIME = "awslambdaric"
RUN_SECONDS = 300


def runtimes() -> Iterator[int]:
    """The runtime clients below this process."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                parents[int(folder.name)] = (int(fields[1]), (folder / "cmdline").read_text())
            except OSError:
                continue  # it ended meanwhile
    for process, (_parent, command) in parents.items():
        above = process
        while above in parents and above != os.getpid():
            above = parents[above][0]
        if above == os.getpid() and f"\0-m\0{RUNTIME}" in command and "lambda-rie" not in command:
            yield process


def peak_mb(process: int) -> float:
    """The most resident memory that it ever had."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measured() -> list[tuple[str, str]]:
    """The peak after each round of uploads."""
    options = Options(
        runtimes=1, environment=ENVIRONMENT, sweep_seconds=3600, anaplan=SimulatorSettings(pace=Pace(run_seconds=2))
    )
    rows: list[tuple[str, str]] = []
    uploaded = 0
    with Stack(options) as stack:
        ids = stack.seed([("Accounts", KEY)])
        stack.deploy(f'[[route]]\nname = "accounts"\nprefix = "incoming/"\nintegration = "{ids["Accounts"]}"\n')
        for uploads in UPLOADS:
            uploaded += uploads
            for number in range(uploads):
                stack.upload(KEY, f"code,name\nA1,{number}\n".encode())
            stack.wait_idle(300)
            rows.append((f"after {uploaded} uploads", f"{max(map(peak_mb, runtimes())):.0f}"))
    return rows


def billed(usage: load_cost.Usage, megabytes: int) -> tuple[str, str, str]:
    """Seconds and US dollars that Lambda bills at a memory size."""
    waiting = usage.busy_ms() - usage.processor_ms * load_cost.PROCESSOR_MB / load_cost.MEMORY_MB
    seconds = (usage.processor_ms * load_cost.PROCESSOR_MB / megabytes + waiting) / 1000
    dollars = load_cost.LOADS * seconds * megabytes / 1024 * prices.LAMBDA_GB_SECOND
    return f"{megabytes} MB", f"{seconds:.1f}", f"{dollars:.3f}"


def main() -> None:
    """Print the tables."""
    if sys.platform != "linux":
        sys.exit("AWS's runtime emulator runs on Linux only.")
    table("Peak resident memory of the runtime", ("", "MB"), measured())
    printed = io.StringIO()
    os.environ |= {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nobodys"}
    with redirect_stdout(printed), TemporaryDirectory() as directory, Autoload(Path(directory)) as autoload:
        usage = load_cost.Bench(autoload, printed).load(RUN_SECONDS)
    table(
        "Lambda's time for a load of 5 minutes",
        ("memory", "s, billed", "US dollars for 1,000 loads"),
        [billed(usage, size) for size in SIZES],
    )


if __name__ == "__main__":
    main()
