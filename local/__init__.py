"""AWS and CloudWorks on a laptop: what the tests, the demo and a first try run against."""
