"""What the API documents promise, held against the running services."""
