"""What the engine can do, one file per verb, readable from top to bottom."""
