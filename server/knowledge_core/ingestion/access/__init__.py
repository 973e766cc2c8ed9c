"""Whether a file may be read: opening it where it was judged, and the files that hold secrets."""
