"""What the calls of all tools have in common: shared parameters, an end in time, answers of whole items in two blocks."""
