"""The thin pipe between a client and the owner: the standard library only."""
