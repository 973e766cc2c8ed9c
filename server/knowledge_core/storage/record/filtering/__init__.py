"""What a filter is made of: SQL conditions, and the fields that they compare. `filters.py` beside it reads the filter."""
