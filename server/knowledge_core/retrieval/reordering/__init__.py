"""What is done to ranked chunks on their way to hits: copies, several queries, times, how many of one document."""
