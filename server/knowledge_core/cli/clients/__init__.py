"""The client programs that `kcore setup` enters the server into: where their configurations lie, and changing these."""
