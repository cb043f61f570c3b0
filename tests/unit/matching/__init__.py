"""The team model for one pilot."""
