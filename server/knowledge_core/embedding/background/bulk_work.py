"""How much of the machine bulk work may take at the moment: by the configuration as it is on the disk, and by the power.

`indexing.threads` and `indexing.priority` are read again when the configuration's file changes, so that they count from
the next batch on, in a process that goes on. Whoever runs batches asks before each.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from knowledge_core.config import IndexingConfig
from knowledge_core.embedding.background import power
from knowledge_core.errors import ConfigurationError

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds between two looks at the configuration's file
POWER_EVERY = 10.0  # seconds between two looks at the power
REST = 0.5  # seconds of rest per second of work, on battery
NOTICE = "On battery: indexing slowed."


@dataclass(frozen=True)
class Allowance:
    """What bulk work may take now.

    threads: at once, at least 1.
    low: they have a lower priority than other programs.
    rest: seconds that a thread rests per second of work.
    """

    threads: int
    low: bool = False
    rest: float = 0.0


class BulkWork:
    """What the configuration and the power allow. Any number of threads may ask.

    settings: as configured when the process began.
    file: the configuration's; None: it never changes.
    read: returns the settings that are in the file now; it may raise ConfigurationError.
    """

    def __init__(
        self, settings: IndexingConfig, file: Path | None = None, read: Callable[[], IndexingConfig] | None = None
    ) -> None:
        self._settings, self._file, self._read = settings, file, read
        self._guard = threading.Lock()  # guards what follows; small files are read under it
        self._stamp = _stamp(file)
        self._looked = self._asked_power = time.monotonic()
        self._on_battery = power.on_battery()

    def allowance(self, cores: int) -> Allowance:
        """Return what bulk work may take of a model that could use `cores`."""
        with self._guard:
            settings, saving = self._now(), self._power()
        threads = min(settings.threads or cores, cores)
        if saving:
            return Allowance(max(1, threads // 2), settings.priority == "low", REST)
        return Allowance(threads, settings.priority == "low")

    def notices(self) -> list[str]:
        """Return what a person should know about it, in sentences."""
        with self._guard:
            return [NOTICE] if self._power() else []

    def _now(self) -> IndexingConfig:
        if self._read is None or time.monotonic() - self._looked < LOOK_EVERY:
            return self._settings
        self._looked = time.monotonic()
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return self._settings
        self._stamp = stamp
        try:
            new = self._read()
        except ConfigurationError as error:
            log.warning("the settings of bulk work stay as they were: %s", error)
            return self._settings
        if (new.threads, new.priority) != (self._settings.threads, self._settings.priority):
            log.info("bulk work takes %s threads of %s priority now", new.threads or "all", new.priority)
        self._settings = new
        return new

    def _power(self) -> bool:
        if time.monotonic() - self._asked_power >= POWER_EVERY:
            self._asked_power = time.monotonic()
            self._on_battery = power.on_battery()
        return self._on_battery


def _stamp(file: Path | None) -> tuple[int, int] | None:
    """Return what changes when a file does; None where there is none."""
    try:
        about = file.stat() if file is not None else None
    except OSError:
        return None
    return (about.st_mtime_ns, about.st_size) if about is not None else None
