"""The owner process: its start and end, and the connections that it holds."""
