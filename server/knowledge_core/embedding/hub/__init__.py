"""Fetch models from the hub: selection, refusals, tokens, resumable downloads."""
