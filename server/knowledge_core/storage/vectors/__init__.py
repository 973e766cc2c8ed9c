"""The vectors: rows, graph and their snapshots. Everything that speaks to USearch or NumKong lies here.

USearch's library (2.26) has the C++ standard library linked into it, and libraries that are loaded after it take some of its
symbols: on Linux, importing ONNX Runtime next ended the process. So the system's standard library is loaded before, for all.
"""

import contextlib
import ctypes
import sys

if sys.platform == "linux":
    with contextlib.suppress(OSError):  # a system without it, as Alpine, has no such clash
        ctypes.CDLL("libstdc++.so.6", mode=ctypes.RTLD_GLOBAL)
