"""`kcore backup` and `kcore restore`: a data directory into a folder or an archive, and back, here or on another machine."""
