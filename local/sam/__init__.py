"""`sam local invoke` against the laptop's AWS: the files that it needs, and a command that does it all."""
