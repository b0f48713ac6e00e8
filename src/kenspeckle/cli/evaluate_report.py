"""The HTML report of `kenspeckle evaluate`: what it needs is looked at before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import InputError
from kenspeckle.evaluate.report import html
from kenspeckle.evaluate.report_plots import required
from kenspeckle.evaluate.report_read import read_evaluation
from kenspeckle.evaluate.result import Evaluation
from kenspeckle.evaluate.samples import Dataset


@dataclass(frozen=True, slots=True)
class Report:
    """Where the page goes, a former evaluation to compare with, and labels seen in training."""

    out: Path
    before: Evaluation | None
    seen: frozenset[str]

    def write(self, found: Evaluation, dataset: Dataset) -> None:
        """Write the page. Raises InputError where it cannot be written."""
        both = [self.before, found] if self.before is not None else [found]
        html(both, out=self.out, dataset=dataset, seen=self.seen)


def report(out: Path | None, before: Path | None, seen: Path | None) -> Report | None:
    """The report asked for, None for none.

    Raises MissingExtra, InputError for a file that cannot be used, BadParameter for options that
    belong to a report when none is asked for.
    """
    if out is None:
        for name, value in (("--before", before), ("--seen", seen)):
            if value is not None:
                raise typer.BadParameter("belongs to a report: add --html FILE", param_hint=name)
        return None
    required()
    former = read_evaluation(before) if before is not None else None
    return Report(out, former, _labels(seen) if seen is not None else frozenset())


def _labels(path: Path) -> frozenset[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            shown(str(path)), "cannot be read as text", expected="one label a line"
        ) from error
    return frozenset(line.strip() for line in text.splitlines() if line.strip())
