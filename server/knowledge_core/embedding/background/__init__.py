"""How much of the machine bulk work may take: its threads, their priority, and what changes on battery."""
