"""What was found wrong with models when they were loaded, so that "auto" does not choose them again.

Rules kept here: a fault counts only for the files in which it was found; when one of them changes, the model is tried
again. Faults are kept in memory alone: what kept a model from loading, such as a full memory, may be over in the next
process.
"""

from __future__ import annotations

import threading

from knowledge_core.embedding.models.model_folder import Model, files_state


class Faults:
    """The faults that this process found. Any number of threads may call."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # of the table; nothing is called under it
        self._known: dict[str, tuple[object, str]] = {}

    def remember(self, model: Model, fault: str) -> None:
        """Note what is wrong with a model, for as long as its files stay as they are now."""
        state = files_state(model.folder)
        with self._guard:
            self._known[str(model.folder)] = state, fault

    def forget(self, model: Model) -> None:
        """Let a model be tried again."""
        with self._guard:
            self._known.pop(str(model.folder), None)

    def of(self, model: Model) -> str:
        """Return what is wrong with a model; "" where nothing is known, or its files have changed since."""
        with self._guard:
            known = self._known.get(str(model.folder))
        return known[1] if known is not None and known[0] == files_state(model.folder) else ""
