"""The engines that are tried in place of the reference, best first. A further class of runner is one entry in `ENGINES`.

An entry says for which models there is a runner, how one is made, in which precisions it is tried, and how near to the
reference its vectors must be. `engines.py` tries the entries in their order, remembers what it chose by the entry's kind,
and loads that again by the same entry.

What an entry makes is any `Runner`: one that sends a query elsewhere than bulk work is one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from knowledge_core.embedding.local.agreement import Fidelity, near_enough
from knowledge_core.embedding.local.local_embedder import Runner
from knowledge_core.embedding.local.packed.packed_runner import MISFITS, PackedRunner, encoder_of
from knowledge_core.embedding.local.packed.products import bfloat16_is_faster
from knowledge_core.embedding.models.models import Model

Make = Callable[[str, str], Runner]
"""Takes a precision and the reason why it was chosen, for people; returns a loaded runner."""


@dataclass(frozen=True)
class Engine:
    """A class of runner.

    kind: its name, as in verdicts and in what users are told; `Runner.kind` of what it makes.
    maker: from a model to what makes its runners; None where it does not run this model. Reads small files only.
    precisions: from the precision asked for, "auto" included, to those that are tried, best first.
    near: says whether vectors in a precision are near enough to the reference's; by default the same for all engines.
    misfits: what making a runner or computing raises where the files are not what they say they are: then the next
        engine is tried.
    """

    kind: str
    maker: Callable[[Model], Make | None]
    precisions: Callable[[str], Sequence[str]]
    near: Callable[[Fidelity, str], bool] = near_enough
    misfits: tuple[type[Exception], ...] = MISFITS


def _packed(model: Model) -> Make | None:
    load = encoder_of(model)
    return None if load is None else partial(PackedRunner, load)


def _packed_precisions(asked: str) -> Sequence[str]:
    if asked == "float16":
        return ()
    if asked != "auto":
        return (asked,)
    return ("bfloat16", "float32") if bfloat16_is_faster() else ("float32",)


ENGINES: Final = (Engine(PackedRunner.kind, _packed, _packed_precisions),)
"""Best first. sentence-transformers is not among them: it is the reference, and runs what none of these runs."""
