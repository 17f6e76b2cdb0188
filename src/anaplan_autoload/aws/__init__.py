"""Everything that talks to AWS: the ledger, staging, saved rejected rows, settings, and the wiring of it all."""
