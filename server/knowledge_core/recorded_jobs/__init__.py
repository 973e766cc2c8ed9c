"""Jobs that are in a collection's record: they survive their process and continue in the next one."""
