"""The vectors: everything that speaks to USearch or NumKong."""
