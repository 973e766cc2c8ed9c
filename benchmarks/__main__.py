"""Run the benchmarks that need nothing but the package, one after the other."""

from __future__ import annotations

import subprocess
import sys

ALONE = ("startup", "busy", "indexing", "search_latency", "embedding")


def main() -> None:
    for name in ALONE:
        print(f"\n## {name}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
    print(
        "\nWith a folder of test sets: python -m benchmarks.retrieval_quality --data DIR, ... clustering --data DIR\n"
        "Words as written: python -m benchmarks.written_words; code by what it does: ... code_search; lines: ... find_all\n"
        "Beside another checkout: python -m benchmarks.search_cost --against SERVER, ... lexical_cost --against SERVER\n"
        "Long ones: python -m benchmarks.scale, ... growth, ... kills, ... soak, ... clients,\n"
        "... corruption, ... pulling, ... formats, ... many_files"
    )


if __name__ == "__main__":
    main()
