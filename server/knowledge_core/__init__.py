"""Knowledge Core: the local, private semantic engine for AI agents.

Importing this package costs nothing: it reads no file and imports no third party.
"""

__version__ = "0.1.0"
