"""`kenspeckle data …`: make data sets ready to evaluate on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kenspeckle.cli import console
from kenspeckle.cli.group import Command, Group
from kenspeckle.cli.options import AsJson

app = typer.Typer(
    help="Make data sets ready to evaluate on: logodet prepare.", rich_markup_mode=None
)
logodet = typer.Typer(help="Data in the layout of LogoDet-3K.", rich_markup_mode=None)
app.add_typer(logodet, name="logodet", cls=Group)

LISTED = 20
"""How many of the things left out are named; all of them are in the database."""


@logodet.command("prepare", cls=Command)
def prepare(
    dataset: Annotated[
        Path,
        typer.Argument(metavar="DATASET", help="Folder <category>/<brand>/ of pictures and XML."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where to put what is made.")
    ],
    seed: Annotated[
        int, typer.Option("--seed", "-s", metavar="N", help="Seed of the splits.")
    ] = 42,
    as_json: AsJson = False,
) -> None:
    """Cut every box to a reference and write the database that `evaluate` reads.

    What is done already and has not changed is left alone. Makes reference_logos, test_images and
    test_data_mapping.db; items are keyed by category and brand, and shared out into train, val
    and test.
    """
    from kenspeckle.evaluate.prepare import prepare as work

    with console.progress("prepared") as tell:
        done = work(dataset, out, seed=seed, progress=tell)
    if as_json:
        console.json_line(
            {
                "folder": str(done.folder),
                "items": done.items,
                "pictures": done.pictures,
                "crops": done.crops,
                "added": done.added,
                "same": done.same,
                "removed": done.removed,
                "splits": done.splits,
                "left_out": [{"what": what, "why": why} for what, why in done.excluded],
            }
        )
        return
    splits = ", ".join(f"{name} {count}" for name, count in done.splits.items())
    console.line(
        f"{done.folder}: {console.counted(done.items, 'item')} ({splits}), "
        f"{console.counted(done.pictures, 'picture')}, {console.counted(done.crops, 'reference')}."
    )
    if not done.added and not done.removed:
        console.line("Nothing to do: all of it was there.")
    else:
        console.line(
            f"{console.counted(done.added, 'picture')} prepared, {done.same:,} as they were, "
            f"{done.removed:,} removed."
        )
    if done.excluded:
        console.note(f"Left out: {console.counted(len(done.excluded), 'thing')}.")
        for what, why in done.excluded[:LISTED]:
            console.note(f"  {what}: {why}")
        if len(done.excluded) > LISTED:
            console.note(f"  and {len(done.excluded) - LISTED:,} more (table left_out)")
