"""What is read of a document: its lines, its sections by their headings, and the places in it that people paste."""
