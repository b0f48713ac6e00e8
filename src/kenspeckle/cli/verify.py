"""`kenspeckle verify`: the former lines and exit rule, and what they could not say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kenspeckle.cli import console, options
from kenspeckle.config import Settings
from kenspeckle.errors import GalleryError, IndexCorrupt
from kenspeckle.evaluate.perturbed import photographed
from kenspeckle.evaluate.verify import VerifyReport
from kenspeckle.evaluate.verify import verify as check
from kenspeckle.evaluate.verify_text import lines
from kenspeckle.flows.opened import default_path
from kenspeckle.gallery import Gallery
from kenspeckle.store.npz import read_table
from kenspeckle.types import Reference

QUICK = 32
"""References photographed anew by default: a second or two."""
NOT_PASSED = 1


def verify(
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
            help="References asked about by a camera view made from their picture; 0 is none.",
        ),
    ] = QUICK,
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
        "index.path": index,
        "models.name": model,
        "models.head": projection,
        "models.home": home,
        "models.offline": offline,
    }
    settings = options.settings(given)
    try:
        report, why = _sound(settings, top_confusables, perturbed)
    except IndexCorrupt as error:
        report, why = _damaged(default_path(settings), top_confusables, error), str(error)
    if as_json:
        console.json_line(report.to_dict() | {"perturbed_skipped": why})
    else:
        for text in lines(report, why):
            console.line(text)
    raise typer.Exit(0 if report.passed else NOT_PASSED)


def _sound(settings: Settings, top: int, perturbed: int) -> tuple[VerifyReport, str]:
    """The report on an index that opens, and why no perturbed queries were asked, if so."""
    with Gallery.open(settings=settings) as gallery:
        ids, references = _own_rows(gallery)
        rows = gallery.store.rows(ids)
        asked, why = photographed(gallery, rows, references, perturbed)
    names = [_name(reference) for reference in references]
    keys = [reference.key for reference in references]
    return check(rows, names, keys, top=top, perturbed=asked), why


def _damaged(path: Path, top: int, error: IndexCorrupt) -> VerifyReport:
    """The report on an `.npz` whose rows no other command takes; of any other file the error."""
    if path.suffix.lower() != ".npz":
        raise error
    table = read_table(path)
    if not len(table.rows):
        raise error
    return check(table.rows, table.names, [f"{n}" for n in range(len(table.rows))], top=top)


def _own_rows(gallery: Gallery) -> tuple[list[int], list[Reference]]:
    pairs = [(number, one) for number, one in gallery.store.references() if not one.view]
    if not pairs:
        raise GalleryError(gallery.store.path, "no references", expected="at least one")
    return [number for number, _ in pairs], [one for _, one in pairs]


def _name(reference: Reference) -> str:
    stored = reference.metadata.get("stored_name", "")
    if stored or not reference.variant:
        return stored or reference.label
    return f"{reference.label} ({reference.variant})"
