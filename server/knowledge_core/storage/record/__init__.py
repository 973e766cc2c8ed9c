"""The record: everything that speaks SQL."""
