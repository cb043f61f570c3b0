"""`make demo-federation`: a hub and three agencies' nodes on one machine, joined by invites, and what they do together.

nodes runs them as processes, severing stands between one of them and the hub, levelling compares what all hold,
story tells it.
"""
