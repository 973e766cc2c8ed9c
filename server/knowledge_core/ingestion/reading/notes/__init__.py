"""What people keep as notes: titles, links, tags, fields, and what in a note is not for readers."""
