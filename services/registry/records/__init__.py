"""What may be posted to the registry, and how a post is read: shape, vocabulary, sense, personal data."""
