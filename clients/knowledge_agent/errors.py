"""What can go wrong. Each class stands for what its catcher can do; the message says what happened and what to do next.

AgentError
    WrongSetup          a key, a model's name, a command or an option is missing or wrong: the user mends it
    ModelUnavailable    the endpoint refused, is overloaded, unreachable, or its stream was cut: try again later
        NoToolCalls     the endpoint or its model takes no tools: use the pipeline
    ServerUnavailable   the knowledge server cannot be started or reached
    ToolFailed          a tool refused a call, in its own words: correct the call
"""

from __future__ import annotations


class AgentError(Exception):
    """The root of all errors of this package."""


class WrongSetup(AgentError):
    """A key, a name or an option is missing or wrong; the message says what to set."""


class ModelUnavailable(AgentError):
    """There is no whole reply from the model's endpoint."""


class NoToolCalls(ModelUnavailable):
    """The endpoint, or the model behind it, takes no tools."""


class ServerUnavailable(AgentError):
    """The knowledge server cannot be started, or was lost and did not come back."""


class ToolFailed(AgentError):
    """The server refused a tool call; the message is its own."""
