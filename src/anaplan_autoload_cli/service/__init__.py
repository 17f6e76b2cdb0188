"""The commands for running the service: what is loaded, what waits, what went wrong, and what to do about it.

They read and write the function's own ledger, through its own code, and talk to the function through its own events:
whatever they start runs in the function, under its protocol.
"""
