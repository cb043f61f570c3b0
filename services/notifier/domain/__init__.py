"""The notifier's rules, pure: what an event is about, who may see it, who asked for it, when to try again."""
