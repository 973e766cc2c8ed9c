"""The commands about folders: which may be read, which are indexed, what stays out of them."""
