"""The tool `classify`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from knowledge_core.cursors import Cursor as PageEnd
from knowledge_core.cursors import decode, encode, moved, request_digest
from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput
from knowledge_core.ingestion.readers import clean_text
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import listed
from knowledge_core.retrieval.answers.notices import about_filter
from knowledge_core.serving.surface.calls.answering import answer
from knowledge_core.serving.surface.calls.bounded import in_time
from knowledge_core.serving.surface.calls.pages import (
    DEFAULT_CAP,
    END,
    END_OF_DEFAULT,
    STRUCTURE_CAP,
    Room,
    bounded_notices,
    ending,
    fitting,
)
from knowledge_core.serving.surface.calls.parameters import READ_ONLY, Cursor, Filter
from knowledge_core.serving.surface.calls.whereabouts import ids_as_texts, of_filtered
from knowledge_core.serving.surface.collections import opened
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import Classified, ClassifyResult, LabelScore
from knowledge_core.verbs.classify import Assignment, Label, classify_documents, classify_texts

CLASSIFY = (
    "Label texts, or the documents of a collection, without training: by label names and descriptions, or by "
    "examples. Each gets the best label with a score 0..1, or null for none of these."
)
SHOWN = 100  # items per answer
ROOM_OF_LABELS = 400  # characters of the text, for the labels of one item; the structure has all labels
ROOM_OF_COUNTS = 1_000  # characters of the text, for the counts
KEPT = 2  # whole results kept for their next pages; that of 100,000 documents takes 30 MB
NONE = "(none of these)"  # the name under which items without a label are counted


class LabelInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    description: str = ""
    examples: list[str] = []


def add(server: KnowledgeServer, engine: Engine, longest: float) -> None:
    """Register `classify`. longest: seconds after which a call answers."""
    tool = ClassifyTool(engine)
    server.add_tool(
        in_time(tool.call, engine, "classify", longest),
        name="classify",
        title="Classify",
        description=CLASSIFY,
        annotations=READ_ONLY,
    )


class ClassifyTool:
    """The tool `classify`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._latest = _Latest()

    def call(
        self,
        labels: Annotated[list[LabelInput], Field(description="Describe or give examples where it helps.")],
        texts: Annotated[list[str] | None, Field(description="To label.")] = None,
        collection: Annotated[str | None, Field(description="Or the documents of this collection.")] = None,
        filter: Filter = None,
        multiple: Annotated[bool, Field(description="All that fit, not only the best.")] = False,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, ClassifyResult]:
        engine, latest = self._engine, self._latest
        if (texts is None) == (collection is None):
            raise InvalidInput("Give texts, or a collection whose documents to label: one of them.")
        wanted = [
            Label(clean_text(each.name), clean_text(each.description), tuple(map(clean_text, each.examples)))
            for each in labels
        ]
        asked = request_digest(["classify", list(map(vars, wanted)), texts, collection, filter, multiple])
        after = None if cursor is None else decode(cursor, asked)
        if collection is None:
            cleaned = [clean_text(text) for text in texts or []]
            embedder = engine.embedders.working()
            state = request_digest(embedder.static_contract.to_json())
            made = latest.get((asked, state), lambda: classify_texts(cleaned, wanted, embedder, multiple=multiple))
            notices = ids_as_texts(engine, cleaned)
        else:
            with opened(engine, [collection]) as (over,):
                view, state = over.view, request_digest([over.view.contract.to_json(), over.view.generation])
                made = latest.get(
                    (asked, state),
                    lambda: classify_documents(view, wanted, over.embedder, filter=filter, multiple=multiple),
                )
                notices = about_filter([view], filter)
            if not made:
                notices += of_filtered(engine, filter, [collection])
        notices += ids_as_texts(engine, [text for label in wanted for text in label.examples])
        changed = moved([collection or "texts"], after.state, state) if after else []
        result = _page(made, wanted, after or PageEnd(asked, 0, state), [*changed, *notices])
        return answer(result, _rendered(result))


class _Latest:
    """The latest results, so that one result is not computed again for each of its pages. For use by several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # guards the table; nothing is computed while it is held
        self._kept: dict[tuple[str, str], list[Assignment]] = {}

    def get(self, key: tuple[str, str], make: Callable[[], list[Assignment]]) -> list[Assignment]:
        """Return the result kept under a key; else make it, and keep it if it needs more than one page."""
        with self._guard:
            known = self._kept.get(key)
        if known is not None:
            return known
        made = make()
        if len(made) > SHOWN:
            with self._guard:
                self._kept[key] = made
                for oldest in list(self._kept)[:-KEPT]:
                    del self._kept[oldest]
        return made


def _page(made: list[Assignment], labels: list[Label], after: PageEnd, notices: list[str]) -> ClassifyResult:
    """Return the items after a page's end, as many as there is room for; the counts are those of all items."""
    counts = {label.name: 0 for label in labels} | {NONE: 0}
    for each in made:
        counts[NONE if each.label is None else each.label] += 1
    room = Room(
        DEFAULT_CAP - END_OF_DEFAULT - len(_rendered_counts(counts).encode()),
        STRUCTURE_CAP - END - len(json.dumps(counts)),
    )
    items = fitting(map(_item, made[after.offset : after.offset + SHOWN]), _rendered_item, room)
    end = after.offset + len(items)
    more = end < len(made)
    return ClassifyResult(
        items=items,
        counts=counts,
        total=len(made),
        truncated=more,
        cursor=encode(PageEnd(after.request, end, after.state)) if more else None,
        notices=bounded_notices(notices),
    )


def _item(each: Assignment) -> Classified:
    return Classified(
        item=each.item, label=each.label, score=round(each.score, 3),
        labels=[LabelScore(label=name, score=round(score, 3)) for name, score in each.labels] or None,
    )  # fmt: skip


def _rendered(result: ClassifyResult) -> str:
    lines = [_rendered_counts(result.counts), *map(_rendered_item, result.items)]
    return "\n".join([*lines, *ending(result.notices, result.cursor)])


def _rendered_counts(counts: Mapping[str, int]) -> str:
    return listed([f"{name}: {count}" for name, count in counts.items()], ROOM_OF_COUNTS)


def _rendered_item(each: Classified) -> str:
    labels = [f"{one_line(one.label)} {one.score:.2f}" for one in each.labels or ()]
    several = f" ({listed(labels, ROOM_OF_LABELS)})" if labels else ""
    return f"{one_line(str(each.item))}: {one_line(each.label or 'none of these')} {each.score:.2f}{several}"
