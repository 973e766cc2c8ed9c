"""Words of any script: tokens, spellings, stop words, and what a query asks by them."""
