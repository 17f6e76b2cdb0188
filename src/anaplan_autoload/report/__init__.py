"""What became of a batch, in words and numbers: the mail, the SNS message, the log line and the metrics."""
