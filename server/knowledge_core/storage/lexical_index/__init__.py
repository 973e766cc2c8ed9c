"""The words of one collection, by Tantivy. Everything that speaks to it lies here."""

from knowledge_core.storage.lexical_index.index import LexicalIndex
from knowledge_core.storage.lexical_index.snapshot import Hits, LexicalSnapshot

__all__ = ["Hits", "LexicalIndex", "LexicalSnapshot"]
