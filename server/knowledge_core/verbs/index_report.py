"""What an index job did: the report that its callers get, and that the record keeps while the job goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from knowledge_core.errors import NothingToIndex
from knowledge_core.indexing.pictures import MOST_NAMED
from knowledge_core.indexing.preparing import Failure, NotRead, Unwanted
from knowledge_core.ingestion.walking.left_out import EXAMPLES, LeftOut
from knowledge_core.language.printable import one_line

NAMED = 5  # refusals that are named in the error of a call that came to nothing
MOST_CHANGED = 20  # changed documents that a report names
MOST_FAILURES = 100  # that a report names one by one; the others are counted


@dataclass(frozen=True)
class IndexReport:
    """What an index job did, over all processes that worked on it.

    indexed: documents new or changed, now found by a search.
    unchanged, removed: documents.
    moved: documents whose files were found under other names or in other folders.
    moved_sources: name of a source whose folder was found elsewhere -> the folder where it was before.
    failed: the first of `failed_total`.
    failed_reasons: how many failed by each reason.
    skipped, unread, skipped_examples: as of `LeftOut`.
    chunks: of the indexed documents.
    embedded: distinct texts that went through the model.
    reused: distinct texts whose vector the record had.
    tokens: of the embedded texts.
    cut: embedded texts that were longer, with their title, than the model reads.
    cut_tokens: by how many tokens in all.
    seconds: of work.
    deferred: documents whose files vanished a moment ago: they are looked for again before they are removed.
    changed: ids of the first documents that were indexed, moved or removed.
    planned: whether the plan is complete, folders included.
    pictures: which pages of the first of `pictures_total` documents are pictures, as of `picture_pages`.
    """

    indexed: int = 0
    unchanged: int = 0
    removed: int = 0
    moved: int = 0
    moved_sources: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[Failure, ...] = ()
    failed_total: int = 0
    failed_reasons: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, int] = field(default_factory=dict)
    skipped_examples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    chunks: int = 0
    embedded: int = 0
    reused: int = 0
    tokens: int = 0
    cut: int = 0
    cut_tokens: int = 0
    seconds: float = 0.0
    planned: bool = False
    pictures: Sequence[str] = ()
    pictures_total: int = 0
    changed: Sequence[str] = ()
    deferred: int = 0

    @property
    def left_out(self) -> LeftOut:
        """Return what was left out without being a failure."""
        return LeftOut(self.skipped, self.unread, self.skipped_examples)

    def failing(self, failed: Sequence[Failure]) -> IndexReport:
        """Return a report that has these failures, too."""
        reasons = dict(Counter(self.failed_reasons) + Counter(each.reason for each in failed))
        shown = (*self.failed, *failed)[:MOST_FAILURES]
        return replace(self, failed=shown, failed_total=self.failed_total + len(failed), failed_reasons=reasons)

    def leaving_out(self, more: LeftOut) -> IndexReport:
        """Return a report that has this, too, among what was left out."""
        both = self.left_out.plus(more)
        return replace(self, skipped=both.skipped, unread=both.unread, skipped_examples=both.examples)

    def to_json(self) -> str:
        """Return it as the record keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> IndexReport:
        """Return what `to_json` wrote; an empty report for anything else."""
        try:
            content = {name: value for name, value in json.loads(text).items() if name in cls.__dataclass_fields__}
            return cls(**{**content, "failed": tuple(Failure(**each) for each in content.get("failed", ()))})
        except (ValueError, TypeError, AttributeError):
            return cls()


def refuse_if_nothing(report: IndexReport) -> None:
    """Raise if a call came to nothing and something was refused: an empty report would read like success.

    Raises:
        NothingToIndex: names what was refused, and why.
    """
    refused = report.failed_total or report.unread or report.skipped.get("secret")
    if report.indexed or report.unchanged or report.removed or report.moved or not refused:
        return
    said = [each.message for each in report.failed[:NAMED]]
    if report.failed_total > len(said):
        said.append(f"So it is with {report.failed_total - len(said)} more.")
    raise NothingToIndex(" ".join(["Nothing to index:", *map(one_line, said), *report.left_out.sentences()]))


def plus(
    report: IndexReport, *, failed: Sequence[Failure] = (), unread: Sequence[NotRead] = (),
    unwanted: Sequence[Unwanted] = (), pictures: Sequence[str] = (), changed: Sequence[str] = (), **more: int,
) -> IndexReport:  # fmt: skip
    """Return a report with these numbers added to its own."""
    sums = {name: getattr(report, name) + number for name, number in more.items()}
    kinds = Counter(each.kind for each in unread)
    examples: dict[str, Sequence[str]] = {
        kind: [each.document for each in unread if each.kind == kind][:EXAMPLES] for kind in kinds
    }
    reasons = Counter(each.reason for each in unwanted)
    examples |= {reason: [each.document for each in unwanted if each.reason == reason][:EXAMPLES] for reason in reasons}
    skipped = {"binary": len(unread), **reasons} if unread else reasons
    left_out = LeftOut(skipped, kinds, examples).under("")
    named = [*report.pictures, *pictures][:MOST_NAMED]
    sums |= {"pictures_total": report.pictures_total + len(pictures)}
    told = [*report.changed, *changed][:MOST_CHANGED]
    return replace(report, **sums, pictures=named, changed=told).failing(failed).leaving_out(left_out)
