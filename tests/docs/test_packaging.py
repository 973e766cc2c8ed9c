"""What registries and Claude Desktop read of this package is valid, and says what the package says."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from pathlib import Path

import jsonschema
import pytest

from knowledge_core import __version__
from knowledge_core.cli.main import parser

REPOSITORY = Path(__file__).parents[2]
# The MCP registry's published schema (modelcontextprotocol/static, MIT licence).
SCHEMA = json.loads((Path(__file__).parent / "mcp-server-2025-12-11.schema.json").read_text(encoding="utf-8"))
SERVER = json.loads((REPOSITORY / "server.json").read_text(encoding="utf-8"))


def test_the_registrys_entry_is_valid_and_of_this_version():
    jsonschema.validate(SERVER, SCHEMA)
    assert SERVER["version"] == SERVER["packages"][0]["version"] == __version__
    assert f"mcp-name: {SERVER['name']}" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("build_bundle", REPOSITORY / "bundle" / "build_bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build(tmp_path_factory.mktemp("dist"))


def test_the_bundle_holds_the_package_and_a_manifest_of_its_tools(bundle):
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("manifest.json"))
    assert {"pyproject.toml", "README.md", manifest["server"]["entry_point"]} <= set(names)
    assert (manifest["version"], manifest["server"]["type"], len(manifest["tools"])) == (__version__, "uv", 10)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


def test_the_bundles_command_is_one_with_the_folders_that_the_user_chose(bundle):
    with zipfile.ZipFile(bundle) as archive:
        arguments = json.loads(archive.read("manifest.json"))["server"]["mcp_config"]["args"]
    ours = arguments[arguments.index("kcore") + 1 :]
    assert ours[-1] == "${user_config.folders}"
    made = parser().parse_args([*ours[:-1], "/notes", "/papers"])
    assert made.root == ["/notes", "/papers"]
