"""The commands for CloudWorks itself: log in, connections, integrations, flows, runs and their histories."""
