"""Run the protocol's own conformance suite against the product, and against the product's stack with the suite's fixtures.

    python -m tests.conformance [--npm DIR]      (or: make conformance)

Both revisions. The suite and the Node that it needs come from npm, in pinned versions, into `build/conformance` (or DIR).
The product itself must pass every scenario that needs no fixture tools; of `server-stateless`, the checks named in
FIXTURE_CHECKS cannot be made without them. With the fixtures mounted on the same server class, middleware and settings,
every required scenario must pass. Exit code 1 if anything else fails; 0 with the reason where there is no npm.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PACKAGES = ("@modelcontextprotocol/conformance@0.2.0-alpha.12", "node@22")
REVISIONS = ("2025-11-25", "2026-07-28")
GENERIC = {
    "2025-11-25": [
        "server-initialize", "ping", "completion-complete", "tools-list", "resources-list", "prompts-list",
        "server-sse-multiple-streams", "dns-rebinding-protection",
    ],
    "2026-07-28": [
        "server-stateless", "tools-list", "resources-list", "prompts-list", "completion-complete",
        "server-sse-multiple-streams", "sep-2164-resource-not-found", "dns-rebinding-protection", "caching",
        "input-required-result-unsupported-methods",
    ],
}  # fmt: skip
FIXTURE_CHECKS = {  # each answers "Not testable: server does not list the diagnostic tool ..."
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-server-no-log-without-loglevel",
}
HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]


def installed(folder: Path) -> Path | None:
    """Return the folder of the suite's programs, installed by npm if they are not there; None where there is no npm."""
    programs = folder / "node_modules" / ".bin"
    if not (programs / "conformance").exists():
        if shutil.which("npm") is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *PACKAGES], cwd=folder, check=True)
    return programs


class Suite:
    def __init__(self, programs: Path) -> None:
        self._programs = programs

    def run(self, url: str, *arguments: str) -> tuple[int, str, list[dict[str, Any]]]:
        """Return exit code, what was printed, and all checks of a run."""
        environment = {**os.environ, "PATH": f"{self._programs}{os.pathsep}{os.environ['PATH']}"}
        with tempfile.TemporaryDirectory() as out:
            command = [str(self._programs / "conformance"), "server", "--url", url, "-o", out, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            checks = [each for file in Path(out).rglob("checks.json") for each in json.loads(file.read_text())]
        return done.returncode, done.stdout, checks


def product(suite: Suite) -> list[tuple[str, str, str, bool]]:
    """Run the scenarios that need no fixtures against `kcore serve --http`."""
    kcore = [sys.executable, "-m", "knowledge_core.cli.main"]
    rows = []
    with tempfile.TemporaryDirectory() as home:
        door = subprocess.Popen(
            # The suite can send no header of ours.
            [*kcore, "serve", "--http", "--no-token", "--port", "0", "--json", "--home", home],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            url = json.loads(door.stdout.readline())["url"]  # type: ignore[union-attr]
            for revision in REVISIONS:
                for scenario in GENERIC[revision]:
                    _, _, checks = suite.run(url, "--scenario", scenario, "--spec-version", revision)
                    failed = [each["id"] for each in checks if each["status"] == "FAILURE"]
                    unforeseen = [id for id in failed if id not in FIXTURE_CHECKS]
                    passed = sum(each["status"] == "SUCCESS" for each in checks)
                    note = f"{passed} checks" + (f", {len(failed)} need fixture tools" if failed else "")
                    rows.append((revision, scenario, ", ".join(unforeseen) or note, bool(checks) and not unforeseen))
        finally:
            door.terminate()
            door.wait(30)
            subprocess.run([*kcore, "stop", "--home", home], check=False, stdout=subprocess.DEVNULL)
    return rows


def stack(suite: Suite) -> list[tuple[str, str, str, bool]]:
    """Run every required scenario against the fixtures on the product's stack."""
    rows = []
    fixtures = subprocess.Popen(
        [sys.executable, str(HERE / "fixtures.py"), "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        url = json.loads(fixtures.stdout.readline())["url"]  # type: ignore[union-attr]
        for revision in REVISIONS:
            code, printed, _ = suite.run(url, "--requirements", revision)
            scored = printed.rpartition("=== SUMMARY ===")[2]
            lines = re.findall(r"^(✓|✗) ([\w-]+): \d+ passed, \d+ failed", scored, flags=re.M)
            unscored = set(re.findall(r"^  . ([\w-]+) \(", scored, flags=re.M))
            required = {name: mark == "✓" for mark, name in lines if name not in unscored}
            failed = [name for name, passed in required.items() if not passed]
            note = f"{len(required) - len(failed)} of {len(required)} required scenarios"
            rows.append(
                (revision, "all required", note + "".join(f", {name}" for name in failed), code == 0 and not failed)
            )
    finally:
        fixtures.terminate()
        fixtures.wait(30)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npm", type=Path, default=REPOSITORY / "build" / "conformance", metavar="DIR")
    programs = installed(parser.parse_args().npm)
    if programs is None:
        print("Skipped: the conformance suite is a Node program, and there is no npm here.")
        return 0
    suite = Suite(programs)
    good = True
    for title, rows in (("the product", product(suite)), ("its stack with the suite's fixtures", stack(suite))):
        print(f"\n{title}\n\n| revision | scenario | | |\n|---|---|---|---|")
        for revision, scenario, note, passed in rows:
            print(f"| {revision} | {scenario} | {note} | {'passed' if passed else 'FAILED'} |")
            good = good and passed
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
