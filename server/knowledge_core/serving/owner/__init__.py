"""The owner process: its life, and the connections that it holds."""
