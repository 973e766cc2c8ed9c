"""Is what is on disk what is found, while folders change at random and the owner is killed? See `__main__`."""
