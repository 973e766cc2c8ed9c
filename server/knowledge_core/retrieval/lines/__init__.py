"""Every line of the stored texts that holds a text or matches a regular expression, in time linear in the texts.

`patterns` says which lines of a text match, `scanning` does that for a stored document, `scanners` for many, where a regular
expression is matched in a process of its own (`child`), so that none can hold up the owner.
"""
