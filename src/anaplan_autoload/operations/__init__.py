"""Looking after the service: loads, lanes, load again. The command line and the load history page share it."""
