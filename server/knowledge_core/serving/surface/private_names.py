"""What both ends of a private request must agree on."""

from __future__ import annotations

from typing import Any

from mcp_types import RequestParams

PREFIX = "knowledge-core/"


class PrivateParams(RequestParams):
    """Whatever a private request needs; its handler takes it apart."""

    arguments: dict[str, Any] = {}
