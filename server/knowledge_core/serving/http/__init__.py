"""The HTTP door."""

PORT = 8321  # an arbitrary number, the same every time so that clients can be configured with it
