"""Generative models: the seam that the agent asks through, and one file per API."""
