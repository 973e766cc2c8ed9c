"""Models that run in this process: engines, the trial between them, the threads that all callers share.

Importing it says how many prepared products torch keeps, which torch reads when it is imported itself. oneDNN prepares a
product once per shape of its input and keeps some memory with it, in two caches of 1,024: after 4,000 texts of mixed lengths
by MiniLM that was 720 MB of 1,140. With 16 the process held 533 MB, 413 of them after trimming, of 382 before the first
text, and the work took 37.5 instead of 40.2 s of the processor's time, since lengths are rounded up, too
(`sentence_transformers_engine.py`); EmbeddingGemma-300m by the packed forward pass: 625 instead of 898 MB, in the same time.
"""

import os

for _name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):  # torch's own, and oneDNN's
    os.environ.setdefault(_name, "16")
