"""Which files below a folder are documents: the walk, its ignore files and path patterns, and what it left out."""
