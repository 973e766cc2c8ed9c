"""What indexing and re-embedding stand on: plans, prepared documents, and the texts that are embedded of them."""
