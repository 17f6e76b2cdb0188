"""The steps of the story. Each does one thing and returns what it found.

AWS stores what a step returns, so steps return ids, counts and decisions, and never a secret, a list of uploads or a
whole answer. Every step may run again after a crash, so it must notice what it has already done. Every step of a leader
first renews the lease. A lost lease, a refused log-in and an old execution are returned as `Stop`, never raised.
"""
