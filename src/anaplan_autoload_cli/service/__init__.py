"""Running the service: routes, lanes, loads, and what to do when something went wrong."""
