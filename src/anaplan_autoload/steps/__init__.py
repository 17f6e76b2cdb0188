"""The steps of the story: each does one thing to the world, and tells what it found.

What a step returns is stored with the execution, so steps return ids, counts and decisions: never a secret, a list of
uploads or a whole answer. Every step may run again after a crash, and so finds what it has already done. Every step of
a leader begins by renewing its lease; a lost lease, a refused log-in and an execution that grew old are returned as
`Stop`, never raised.
"""
