"""Forward passes over packed tokens, on plain torch: one file per architecture, and what they share."""
