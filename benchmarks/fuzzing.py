"""Give every reader of files mutated files and hostile archives, and see that it refuses or reads them.

    python -m benchmarks.fuzzing [--minutes 5] [--format NAME] [--files FOLDER] [--seed 0] [--keep FOLDER]

A reader may return, or raise `Unreadable`; anything else is a fault of it, as is an outcome that could not be written as
JSON, has spans outside of its text, takes 5 s of the processor, or a gigabyte. Each fault is told once by its last own line,
and its file kept. A reader that ends the whole process, or never ends, leaves its file as `NAME-now`. The case `docx:17` of a
seed is the same in every run. The exit code is 1 where a fault was found.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from knowledge_core.ingestion.format_table import FORMATS

TESTS = Path(__file__).parents[1] / "tests" / "ingestion"
STUCK = 60.0  # seconds for a case, then the process ends with its traceback


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="for all formats together")
    parser.add_argument("--format", choices=[each.name for each in FORMATS], action="append")
    parser.add_argument("--files", type=Path, help="a folder with further sound files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", type=Path, help="where the files of faults are written; by default a temporary folder"
    )
    arguments = parser.parse_args()
    keep = arguments.keep or Path(tempfile.mkdtemp(prefix="fuzzing-"))
    keep.mkdir(parents=True, exist_ok=True)
    chosen = arguments.format or [each.name for each in FORMATS]
    found = [_run(each, arguments, keep, arguments.minutes * 60 / len(chosen)) for each in chosen]
    return 1 if any(found) else 0


def _run(format: str, arguments: argparse.Namespace, keep: Path, seconds: float) -> int:
    sys.path[:0] = [str(TESTS), str(TESTS / "fuzzing")]
    from fuzz_readers import fuzzed

    began, said, faults = time.monotonic(), Counter[str](), dict[str, Any]()
    now = keep / f"{format}-now"

    def more(number: int) -> bool:
        faulthandler.dump_traceback_later(STUCK, exit=True)
        return time.monotonic() - began < seconds

    for outcome, fault in fuzzed(format, seed=arguments.seed, folder=arguments.files, more=more, now=now):
        said[outcome] += 1
        if fault and fault.where not in faults:
            faults[fault.where] = fault
            kept = keep / f"{fault.case.replace(':', '-')}-{fault.sample}"
            kept.write_bytes(fault.data)
            print(f"FAULT {fault.case} of {fault.sample}: {fault.where}; {kept}\n{fault.trace}", flush=True)
    faulthandler.cancel_dump_traceback_later()
    now.unlink(missing_ok=True)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in said.most_common())
    print(f"{format}: {sum(said.values())} cases ({counts}); {len(faults)} faults", flush=True)
    return len(faults)


if __name__ == "__main__":
    sys.exit(main())
