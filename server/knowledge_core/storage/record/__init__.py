"""The record: documents, chunks, vectors and jobs in one SQLite file. Everything that speaks SQL lies here."""
