"""What a release consists of: see `package.py`."""
