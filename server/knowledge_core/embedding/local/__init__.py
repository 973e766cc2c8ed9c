"""Models that run in this process: engines, the trial between them, the threads that all callers share.

Importing it says how many prepared products torch keeps, which torch reads when it is imported itself. oneDNN prepares a
product once per shape of its input and keeps some memory with it, in two caches of 1,024: after 4,000 texts of mixed lengths
by MiniLM that was 720 MB of 1,140. Engines therefore round their shapes up to few (`packing.step_of`,
`sentence_transformers_engine.py`), and the caches hold about as many as there are then. Fewer cost time: while
EmbeddingGemma-300m indexed 300 passages, whose batches have another shape each, it embedded 2,900 tokens a second with 16,
4,600 with 64 and 4,900 with 256 (4,500 to 5,000 in one call of all of them, sorted by length); and memory grows slowly: 479 MB
with 16, 530 with 128 and fewer shapes, of 474 after a first batch; MiniLM by sentence-transformers 455 and 490, of 413.
"""

import os

for _name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):  # torch's own, and oneDNN's
    os.environ.setdefault(_name, "128")
