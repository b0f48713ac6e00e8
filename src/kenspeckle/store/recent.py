"""What was read of an index file since its last commit: what is asked again and again is read
once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kenspeckle.store.base import Standing
from kenspeckle.types import Reference

MOST = 4096
"""References that are remembered."""


@dataclass(slots=True)
class Recent:
    """What was read while the file was as `version` says; another commit makes all of it void.

    `current` says that the vectors in memory are those of the file, `prints` are counts by item.
    """

    version: int
    current: bool = False
    standing: Standing | None = None
    counts: tuple[int, int] | None = None
    references: dict[int, Reference] = field(default_factory=dict)
    prints: dict[int, int] = field(default_factory=dict)

    def keep(self, found: Mapping[int, Reference]) -> None:
        """Remember references; those before are forgotten when they become too many."""
        if len(self.references) + len(found) > MOST:
            self.references.clear()
            self.prints.clear()
        self.references.update(found)
