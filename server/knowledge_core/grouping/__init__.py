"""The pure algorithms of `cluster`: rows in, groups and their names out. They know nothing of storage."""
