"""What a search answers: hits, and what should be known besides."""
