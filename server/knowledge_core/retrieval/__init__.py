"""From a search request to ranked hits: query vectors, candidates of both indexes, fusion, folding, snippets."""
