"""`python -m local.transcripts`: write `docs/operations.md`, whose commands are run here and shown with their output.

`operations.md` beside this file is the page without the output: prose, commands, and comments that say what has to
happen between them.
"""
