"""Autoload's decisions about events, routes, batches, runs and outcomes. Pure, without I/O."""
