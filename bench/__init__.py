"""The measurements behind the figures that README and docs quote: each module prints its own tables, as Markdown.

Run one with `python -m bench.<name>`. Counts are exact and the same everywhere; times are medians of processes started
in turn, and only their ratios carry over to another machine.
"""
