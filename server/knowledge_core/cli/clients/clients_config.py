"""The configurations of MCP clients: where each file lies, and how our entry looks in it. Pure, but for `find`.

The formats are those of the clients' own documentation in November 2026. Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from knowledge_core.errors import InvalidInput

ENTRY = "knowledge-core"  # name of our entry in every client


@dataclass(frozen=True)
class ClientKind:
    """One client.

    Attributes:
        name: as `kcore setup` takes it.
        title: the client's own name, for messages.
        section: the key that holds the servers.
        where: the path or name of its file, for messages.
        editable: its file is JSON that we change ourselves; else we only print the lines.
        typed: its entries name their transport.
        shape: the form of an entry; "json" is what most clients have.
        url: the key of an HTTP server's address; None: its file knows no HTTP servers that get a header.
        headers: the key of the headers that it sends to one.
    """

    name: str
    title: str
    section: str
    where: str
    editable: bool = False
    typed: bool = False
    shape: Literal["json", "toml", "opencode", "zed"] = "json"
    url: str | None = "url"
    headers: str = "headers"


CLIENTS: Mapping[str, ClientKind] = {
    each.name: each
    for each in (
        ClientKind(
            "claude-desktop", "Claude Desktop", "mcpServers", "claude_desktop_config.json", editable=True, url=None
        ),
        ClientKind("claude-code", "Claude Code", "mcpServers", "~/.claude.json", editable=True, typed=True),
        ClientKind("cursor", "Cursor", "mcpServers", "~/.cursor/mcp.json", editable=True),
        ClientKind("vscode", "VS Code", "servers", "mcp.json of the user profile", editable=True, typed=True),
        ClientKind("windsurf", "Windsurf", "mcpServers", "~/.codeium/windsurf/mcp_config.json", url="serverUrl"),
        ClientKind("zed", "Zed", "context_servers", "~/.config/zed/settings.json", shape="zed"),
        ClientKind("gemini-cli", "Gemini CLI", "mcpServers", "~/.gemini/settings.json", url="httpUrl"),
        ClientKind("codex", "Codex", "mcp_servers", "~/.codex/config.toml", shape="toml", headers="http_headers"),
        ClientKind("opencode", "OpenCode", "mcp", "~/.config/opencode/opencode.json", shape="opencode"),
    )
}


def find(client: ClientKind) -> Path:
    """Return the path of a client's configuration on this machine, whether the file exists or not."""
    home = Path.home()
    if client.name == "claude-desktop":
        return _application_data(home, "Claude") / "claude_desktop_config.json"
    if client.name == "vscode":
        return _application_data(home, "Code") / "User" / "mcp.json"
    return Path(os.path.expanduser(client.where))


def _application_data(home: Path, name: str) -> Path:
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / name
    if sys.platform == "win32":
        roaming = Path(os.environ.get("APPDATA", home / "AppData" / "Roaming"))
        local = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
        # For programs from the Microsoft Store, Windows redirects the application data to a folder of the package.
        packaged = sorted(local.glob(f"Packages/{name}_*/LocalCache/Roaming/{name}"))
        return packaged[0] if packaged else roaming / name
    return Path(os.environ.get("XDG_CONFIG_HOME", home / ".config")) / name


def entry(client: ClientKind, command: Sequence[str]) -> dict[str, Any]:
    """Return our entry in this client's form. command: the full path of the program, and its arguments."""
    if client.shape == "opencode":
        return {"type": "local", "command": list(command), "enabled": True}
    made: dict[str, Any] = {"command": command[0], "args": list(command[1:])}
    if client.shape == "zed":
        return {"source": "custom", **made, "env": {}}
    return {"type": "stdio", **made} if client.typed else made


def http_entry(client: ClientKind, url: str, token: str) -> dict[str, Any]:
    """Return our entry for a client that connects to the HTTP door. token: what the door asks for.

    Raises:
        InvalidInput: the client's file knows no HTTP servers that get a header.
    """
    if client.url is None:
        raise InvalidInput(
            f"{client.title}'s file knows no HTTP servers, so it cannot send the door's token. Leave out --http: it then "
            "launches kcore itself."
        )
    made: dict[str, Any] = {client.url: url, client.headers: {"Authorization": f"Bearer {token}"}}
    if client.shape == "opencode":
        return {"type": "remote", **made, "enabled": True}
    return {"type": "http", **made} if client.typed else made


def config_snippet(client: ClientKind, ours: Mapping[str, Any]) -> str:
    """Return the lines for a person to put into the client's file. ours: see `entry` and `http_entry`."""
    if client.shape == "toml":
        lines = [f"{key} = {_toml(value)}" for key, value in ours.items()]
        return "\n".join([f"[{client.section}.{ENTRY}]", *lines])
    return json.dumps({client.section: {ENTRY: ours}}, indent=2)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)  # JSON strings, and lists of them, are valid TOML


def with_entry(client: ClientKind, text: str, ours: Mapping[str, Any]) -> str:
    """Return a configuration with our entry in it and everything else as it was.

    Raises:
        InvalidInput: the text is not plain JSON (it may have comments), or has another structure than the client reads.
    """
    content = _parsed(client, text)
    content.setdefault(client.section, {})[ENTRY] = ours
    return _written(content, text)


def without_entry(client: ClientKind, text: str) -> str:
    """Return a configuration without our entry; the same text if it has none.

    Raises:
        InvalidInput: see `with_entry`.
    """
    content = _parsed(client, text)
    if ENTRY not in content.get(client.section, {}):
        return text
    del content[client.section][ENTRY]
    return _written(content, text)


def _parsed(client: ClientKind, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"it is not plain JSON ({error}); it may have comments") from error
    if not isinstance(content, dict) or not isinstance(content.get(client.section, {}), dict):
        raise InvalidInput(f"it is not an object whose {client.section!r} is an object")
    return content


def _written(content: dict[str, Any], before: str) -> str:
    indent = "\t" if "\n\t" in before else 2
    return json.dumps(content, indent=indent, ensure_ascii=False) + "\n"
