"""A stress test on the real runtime: `python -m local.chaos --uploads 1000 --routes 20 --seed 1`.

Uploads go on while runtimes are killed with SIGKILL, leaders are stopped for good, CloudWorks spoils a tenth of its
answers, and events come twice, late and out of order. Then the trouble stops, dead letters are redriven, and what
CloudWorks saw, what subscribers got and what the ledger holds are compared: nothing lost, nothing overlapping, no run
without a reason.

The same seed gives the same uploads and the same trouble at the same times. What the trouble hits depends on the
machine.
"""
