"""Knowledge Agent: answers with sources from a knowledge server, as a command and as a library.

>>> from knowledge_agent import Agent
"""

from knowledge_agent.agent import Agent
from knowledge_agent.errors import (
    AgentError,
    ModelUnavailable,
    NoToolCalls,
    ServerUnavailable,
    ToolFailed,
    WrongSetup,
)
from knowledge_agent.types import Answer, Budget, Citation, Notice, Passage, Prices, TextPiece, ToolUsed, Usage

__all__ = [
    "Agent", "AgentError", "Answer", "Budget", "Citation", "ModelUnavailable", "NoToolCalls", "Notice", "Passage",
    "Prices", "ServerUnavailable", "TextPiece", "ToolFailed", "ToolUsed", "Usage", "WrongSetup",
]  # fmt: skip
