"""The MCP surface: tools, resources, prompts and private requests, which translate to the verbs and never decide."""
