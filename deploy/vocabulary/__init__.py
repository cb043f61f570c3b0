"""Regenerates the vocabulary's lists that come from other people's data. Needs the development dependencies."""
