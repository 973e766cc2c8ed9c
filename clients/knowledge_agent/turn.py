"""What one question has used and produced so far: replies, tokens, time, notices; and the answer made of them."""

from __future__ import annotations

import time
from typing import Literal

from knowledge_agent.citing import checked
from knowledge_agent.errors import ModelUnavailable
from knowledge_agent.prompting import NOTHING
from knowledge_agent.retrieval import Shelf
from knowledge_agent.types import (
    Answer,
    Budget,
    Citation,
    Event,
    Notice,
    OnEvent,
    Prices,
    Reply,
    TextPiece,
    Usage,
)

Mode = Literal["pipeline", "agent", "summary"]


class Turn:
    """The account of one question. Everything that the user is told about it goes through `hear`."""

    def __init__(self, mode: Mode, budget: Budget, prices: Prices | None, on_event: OnEvent) -> None:
        self.mode: Mode = mode
        self.partial = ""
        self.searches: list[str] = []
        self.nothing_found = 0
        self._budget = budget
        self._prices = prices
        self._on_event = on_event
        self._began = time.monotonic()
        self._usage = Usage()
        self._steps = 0
        self._citations: list[Citation] = []
        self._notices: list[str] = []
        self._stopped = ""

    def hear(self, event: Event) -> None:
        """Pass an event on. Its text or notice is kept, because an answer that is cut off consists of what has come."""
        if isinstance(event, TextPiece):
            self.partial += event.text
        elif isinstance(event, Notice):
            self._notices.append(event.text)
        self._on_event(event)

    def add(self, reply: Reply) -> Reply:
        """Count a complete reply, and return it.

        Raises:
            ModelUnavailable: the reply is a refusal.
        """
        self._steps += 1
        self._usage += reply.usage
        self.partial = ""
        if reply.ended == "refusal":
            raise ModelUnavailable(
                f"The model refused to answer. {reply.explanation or 'It gave no reason.'} Ask differently, or another model."
            )
        if reply.ended == "length":
            self._stopped = (
                f"The answer was cut at {self._budget.answer_tokens} tokens, or the model's context is full: "
                "raise --answer-tokens, or lower --context-tokens."
            )
        self._citations += reply.citations
        return reply

    def exhausted(self) -> bool:
        """Say whether the next reply must be the last one."""
        budget, used = self._budget, self._usage
        cost = self._prices.of(used) if self._prices else 0.0
        return (
            self._steps >= budget.steps - 1
            or (budget.tokens is not None and used.total >= budget.tokens)
            or (budget.cost is not None and cost >= budget.cost)
        )

    def out_of_time(self) -> str:
        """Note that the time is over, and return the text that has arrived."""
        self._stopped = f"The time budget of {self._budget.seconds:g} seconds was used up: raise --max-seconds."
        return self.partial

    def answer(self, text: str, shelf: Shelf) -> Answer:
        """Return the answer that has this text; notices tell the user of wrong quotations and missing sources."""
        if not text.strip() and not self._stopped:
            self._stopped = "The model gave an empty answer. Ask again, or use another model."
        known = [each for each in self._citations if f"[{each.passage.number}]" in text]
        citations, doubtful = checked(text, shelf.passages, known)
        for quote in doubtful:
            self.hear(Notice(f"Not found in the cited sources: {quote}"))
        if not citations and NOTHING not in text and not self._stopped:
            nothing = self.searches and self.nothing_found == len(self.searches)
            found = "Retrieval found nothing relevant" if nothing else "The answer cites no source"
            self.hear(Notice(f"{found}: it does not rest on the documents."))
        return Answer(
            text=text.strip(), citations=citations, doubtful=doubtful, stopped=self._stopped, usage=self._usage,
            cost=self._prices.of(self._usage) if self._prices else None, steps=self._steps,
            seconds=time.monotonic() - self._began, mode=self.mode, notices=tuple(self._notices),
            searches=tuple(self.searches),
        )  # fmt: skip
