"""What indexing and re-embedding stand on: plans, prepared documents."""
