"""The commands for running the service: see loads, waiting uploads and failures, and act on them.

They read and write the function's own ledger, through its own code, and talk to the function through its own events:
whatever they start runs in the function, under its protocol.
"""
