"""The vectors: rows, graph and their snapshots. Everything that speaks to USearch or NumKong lies here."""
