"""The MCP surface: tools, resources, prompts, private requests. Translates, never decides."""
