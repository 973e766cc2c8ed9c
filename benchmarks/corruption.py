"""Damage each file of a data directory in each way, one at a time, and see what kcore makes of it.

    python -m benchmarks.corruption [--flips 3] [--seed 0] [--only PART] [--json FILE]

Every file of the data directory (record, write-ahead log, derived indexes, roots, configuration) is removed, emptied, cut in
half, overwritten, replaced by an older copy and given single flipped bits. Then kcore opens the directory, lists, searches
in the damaged and in another collection, checks, repairs and searches again. An answer that is wrong without a word, a crash,
or another collection that does not answer makes the exit code 1. About 1 s a case.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.report import machine, table, write_json

TESTS = Path(__file__).parents[1] / "tests"
ANSWERS = ("whole", "repaired", "named", "wrong")


def kind(file: str) -> str:
    """Name a file without the numbers that are made anew each time."""
    return re.sub(r"[0-9a-f]{32}(\.\d+)?", "SEGMENT", file.removeprefix("collections/victim/"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="PART", help="files whose name has this part")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    sys.path[:0] = [str(TESTS), str(TESTS / "serving" / "damage")]
    from corruption import Ground, cases, examined

    logging.disable(logging.CRITICAL)
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    wrong, outcomes = [], []
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(Path(folder))
        ground.make()
        for case in cases(ground, arguments.flips, arguments.seed):
            if arguments.only not in case.file:
                continue
            outcome = examined(ground, case)
            counts[kind(case.file), case.harm][outcome.answer] += 1
            outcomes.append([kind(case.file), case.harm, case.seed, outcome.answer, outcome.why])
            if outcome.answer == "wrong":
                wrong.append(outcome)
                print(f"WRONG {kind(case.file)}, {case.harm} ({case.seed}): {outcome.why}", file=sys.stderr, flush=True)
    rows = [(file, harm, *(made[each] or "" for each in ANSWERS)) for (file, harm), made in counts.items()]
    print(machine() + "\n")
    print(table(["file", "harm", *ANSWERS], rows))
    totals = Counter(each[3] for each in outcomes)
    print(f"\n{len(outcomes)} cases: " + ", ".join(f"{totals[each]} {each}" for each in ANSWERS))
    write_json(arguments.json, {"outcomes": outcomes})
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
