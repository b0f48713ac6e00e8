"""`kenspeckle verify`: the former lines and exit rule, and what they could not say."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from kenspeckle.cli import console, options
from kenspeckle.errors import IndexCorrupt
from kenspeckle.evaluate.verify import checkup_text
from kenspeckle.evaluate.verify import rows_text as verify_text
from kenspeckle.evaluate.verify.advice import Findings, advise
from kenspeckle.evaluate.verify.checkup import ROWS, checkup
from kenspeckle.evaluate.verify.rows import VerifyReport
from kenspeckle.evaluate.verify.rows import verify as check
from kenspeckle.flows.opened import default_path
from kenspeckle.gallery import Gallery
from kenspeckle.store.npz import read_table

VIEWS = 64
"""Camera views asked about by default: some seconds."""
NOT_PASSED = 1


def verify(
    index_file: options.Place = None,
    index: options.Index = None,
    top_confusables: Annotated[
        int, typer.Option("--top-confusables", metavar="N", min=0, help="Pairs shown.")
    ] = 5,
    perturbed: Annotated[
        int,
        typer.Option(
            "--perturbed",
            metavar="N",
            min=0,
            help="Camera views of references asked about, spread over them; 0 is none.",
        ),
    ] = VIEWS,
    model: options.Model = None,
    projection: options.Head = None,
    home: options.Home = None,
    offline: options.Offline = None,
    as_json: options.AsJson = False,
) -> None:
    """Check the rows of an index against each other, and against perturbed pictures.

    Exit code 0 if at least 99 % of the rows identify themselves, else 1.
    """
    given = {
        "index.path": options.once(index_file, index),
        "models.name": model,
        "models.head": projection,
        "models.home": home,
        "models.offline": offline,
    }
    settings = options.settings(given)
    try:
        with Gallery.open(settings=settings) as gallery:
            found = checkup(gallery, top=top_confusables, perturbed=perturbed)
        report, data, told = found.report, found.to_dict(), checkup_text.lines(found)
    except IndexCorrupt as error:
        path, why = default_path(settings), str(error)
        report = _damaged(path, top_confusables, error)
        broken = len({*report.damaged, *report.not_unit})
        advice = advise(Findings(report.item_gap, ROWS, str(path), broken=broken))
        data = report.to_dict() | {"perturbed_skipped": why} | advice.to_dict()
        told = chain(verify_text.lines(report, why), advice.lines())
    if as_json:
        console.json_line(data)
    else:
        for text in told:
            tell = console.line if text.startswith("next: ") else console.prose
            tell(text)  # a command stays whole, to be copied
    raise typer.Exit(0 if report.passed else NOT_PASSED)


def _damaged(path: Path, top: int, error: IndexCorrupt) -> VerifyReport:
    """The report on an `.npz` whose rows no other command takes; of any other file the error."""
    if path.suffix.lower() != ".npz":
        raise error
    table = read_table(path)
    if not len(table.rows):
        raise error
    return check(table.rows, table.names, [f"{n}" for n in range(len(table.rows))], top=top)
