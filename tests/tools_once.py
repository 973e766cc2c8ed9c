"""Schemas of tools are derived once for a test process: the SDK derives them anew for every server, which takes longer than
most tests of one. Only what a method of a class gives is kept, which is the same for every server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver.tools import base

_derived: dict[tuple[object, ...], base.Tool] = {}
_derive = base.Tool.from_function


def _once(fn: Callable[..., Any], *arguments: Any, **named: Any) -> base.Tool:
    method = getattr(fn, "__func__", None)
    if method is None:
        return _derive(fn, *arguments, **named)
    key = (method, repr(arguments), repr(named))
    if key not in _derived:
        _derived[key] = _derive(fn, *arguments, **named)
    return _derived[key].model_copy(update={"fn": fn})


def derive_once() -> None:
    base.Tool.from_function = _once  # type: ignore[method-assign,assignment]
