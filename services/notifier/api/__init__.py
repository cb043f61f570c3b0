"""HTTP in and out; nothing is decided here."""
