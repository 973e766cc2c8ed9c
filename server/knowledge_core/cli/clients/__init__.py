"""The MCP clients that `kcore setup` knows: where their configurations lie, and how to change these."""
