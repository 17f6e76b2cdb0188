"""Autoload for Anaplan: a file that lands in S3 is loaded by CloudWorks, and everyone is told."""
