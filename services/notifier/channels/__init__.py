"""The ways in which people and systems are told. One room a channel."""
