"""Nodes, a hub and links under chance: one state machine, in memory with the real rules, and against real servers."""
