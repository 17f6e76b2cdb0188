"""Reports how a batch ended: the mail, the SNS message, the log line and the metrics."""
