"""Backups of a data directory: made while it is in use, read back only whole, and never with a secret in them.

A backup is a folder or a `.zip` of the same files: one SQLite file per collection, the configuration, the allowed roots, and
`manifest.json`, which is written last and names every other file with its size and SHA-256. What it does not name is none of
the backup. What is derived is left out, since it is rebuilt, and so are locks, secrets, tokens, sockets, logs and models.
"""
