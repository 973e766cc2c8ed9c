"""The pure parts of search: fusing scores, folding hits, cutting snippets, reading cursors. Values in, values out."""
