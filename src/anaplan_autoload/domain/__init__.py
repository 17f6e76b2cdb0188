"""What Autoload decides: events, routes, batches, runs and outcomes. Pure, without I/O."""
