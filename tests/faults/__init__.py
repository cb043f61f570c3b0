"""Kills and crashes at every step, and what must be true afterwards. Short in `make test`, long in `make faults`."""
