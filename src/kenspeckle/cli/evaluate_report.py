"""What a report on `kenspeckle evaluate` says beside the figures of the run itself.

A former run to compare with, labels that the model was trained on, and the HTML page. What they
need is looked at before anything is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import InputError
from kenspeckle.evaluate.compare import compared, familiar
from kenspeckle.evaluate.report.page import html
from kenspeckle.evaluate.report.plots import required
from kenspeckle.evaluate.report.read import read_evaluation
from kenspeckle.evaluate.result import Evaluation, plain
from kenspeckle.evaluate.samples import Dataset


@dataclass(frozen=True, slots=True)
class Beside:
    """Where the page goes, a former evaluation to compare with, and labels seen in training."""

    out: Path | None
    before: Evaluation | None
    seen: frozenset[str]

    def lines(self, found: Evaluation) -> Iterator[str]:
        """Seen and unseen apart, before and after, for people."""
        groups = familiar(found, self.seen)
        if groups:
            yield from ("", "Seen and unseen", *(one.line() for one in groups))
        if self.before is not None:
            yield from compared(self.before, found, self.seen).lines()

    def to_dict(self, found: Evaluation) -> dict[str, Any]:
        """The same for JSON; nothing where nothing was asked for."""
        data: dict[str, Any] = {}
        if self.seen:
            data["familiar"] = plain(familiar(found, self.seen))
        if self.before is not None:
            data["comparison"] = compared(self.before, found, self.seen).to_dict()
        return data

    def write(self, found: Evaluation, dataset: Dataset) -> None:
        """Write the page, where one is asked for. Raises InputError where it cannot be written."""
        if self.out is not None:
            both = [self.before, found] if self.before is not None else [found]
            html(both, out=self.out, dataset=dataset, seen=self.seen)


def beside(out: Path | None, before: Path | None, seen: Path | None) -> Beside:
    """What is asked for. Raises MissingExtra, InputError for a file that cannot be used."""
    if out is not None:
        required()
    former = read_evaluation(before) if before is not None else None
    return Beside(out, former, _labels(seen) if seen is not None else frozenset())


def _labels(path: Path) -> frozenset[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            shown(str(path)), "cannot be read as text", expected="one label a line"
        ) from error
    labels = frozenset(line.strip() for line in text.splitlines() if line.strip())
    if not labels:
        raise InputError(shown(str(path)), "no label", expected="one label a line")
    return labels
