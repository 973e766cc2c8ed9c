"""A small real collection that ships with the package; see README.md in each folder for its origin and licence."""
