"""What both ends of a private request must agree on: the prefix of its method, and the form of its parameters."""

from __future__ import annotations

from typing import Any

from mcp_types import RequestParams

PREFIX = "knowledge-core/"


class PrivateParams(RequestParams):
    """The arguments of a private request, by name; its handler checks them."""

    arguments: dict[str, Any] = {}
