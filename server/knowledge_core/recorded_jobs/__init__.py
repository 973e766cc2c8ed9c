"""Long work that the record knows: it survives the process and goes on in the next one."""
