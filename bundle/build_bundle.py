"""Build the Claude Desktop bundle: dist/knowledge-core-VERSION.mcpb, a zip of the package and its manifest.

    python bundle/build_bundle.py

The bundle's server type is `uv`: Claude Desktop makes the environment from pyproject.toml at the first start. The
manifest's version and tools come from the package, so that they cannot differ from it. Where the official tool is at
hand (`npx @anthropic-ai/mcpb`), it validates the manifest; without it, that is said.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from knowledge_core import __version__

REPOSITORY = Path(__file__).parents[1]
KEPT = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")


def manifest() -> dict[str, Any]:
    """Return the manifest with the version and the tools of this package."""
    content: dict[str, Any] = json.loads((REPOSITORY / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    return {**content, "version": __version__, "tools": asyncio.run(_tools())}


async def _tools() -> list[dict[str, str]]:
    from knowledge_core.config import Config
    from knowledge_core.engine import Engine
    from knowledge_core.serving.surface.application import application

    with tempfile.TemporaryDirectory() as home, Engine(Path(home), Config()) as engine:
        listed = await application(engine).list_tools()
    return [{"name": tool.name, "description": tool.description or ""} for tool in listed]


def build(folder: Path) -> Path:
    """Write the bundle into `folder` and return its path."""
    folder.mkdir(exist_ok=True)
    bundle = folder / f"knowledge-core-{__version__}.mcpb"
    packages = [
        path
        for part in ("server", "clients")  # both are in the distribution, so that it installs only with both
        for path in (REPOSITORY / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest(), indent=2))
        for path in [*(REPOSITORY / name for name in KEPT), *sorted(packages)]:
            archive.write(path, path.relative_to(REPOSITORY))
    return bundle


def main() -> int:
    bundle = build(REPOSITORY / "dist")
    print(f"{bundle.relative_to(REPOSITORY)}: {bundle.stat().st_size / 1e6:.1f} MB")
    tool = shutil.which("mcpb") or shutil.which("npx")
    if tool is None:
        print("Not validated: there is no Node here. With it: npx @anthropic-ai/mcpb validate")
        return 0
    with tempfile.TemporaryDirectory() as unpacked:
        with zipfile.ZipFile(bundle) as archive:
            archive.extractall(unpacked)
        command = [tool] if Path(tool).stem == "mcpb" else [tool, "--yes", "@anthropic-ai/mcpb"]
        return subprocess.run([*command, "validate", f"{unpacked}/manifest.json"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
