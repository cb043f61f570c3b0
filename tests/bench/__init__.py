"""How fast a node is, always against the bare parts it stands on, in the same run and on the same servers.

`make bench`, or `python -m tests.bench --short --json PATH`. What each line means stands in docs/speed.md.
"""
