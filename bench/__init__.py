"""The measurements behind the figures that README and docs quote: each module prints its own tables, as Markdown.

Run one with `python -m bench.<name>`. Counts carry over to any machine; of times, which are processor time and medians
of processes started in turn, only the ratios do.
"""
