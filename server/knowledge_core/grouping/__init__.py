"""Pure leaves of `cluster` and `classify`: rows of integers in, groups out. They know nothing of storage."""
