"""Keeping the index in step with the folders while an owner runs."""
