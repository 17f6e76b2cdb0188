"""Autoload for Anaplan: loads files from S3 into Anaplan through CloudWorks, and tells everyone."""
