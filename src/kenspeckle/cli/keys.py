"""`kenspeckle keys …`: make, list and revoke the keys of the service."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from kenspeckle.cli import console
from kenspeckle.cli.options import AsJson, Index, settings

app = typer.Typer(
    help="Keys of the service: create, list, revoke.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

File = Annotated[
    str | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        help="File of keys. Default: beside the index.",
        show_default=False,
    ),
]
GIVEN = "… --keys"
"""How a service is started that is told where its keys are."""
WITHOUT = "--surface analyze"
"""How one is started that has no index."""

Name = Annotated[str, typer.Argument(help="Name of the key.", metavar="NAME", show_default=False)]


@app.command()
def create(
    name: Name,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPES",
            help="What it may do: read (ask), write (change items, say what was right, index and "
            "calibrate), admin (jobs that name folders here). Several with commas. Default: read.",
            show_default=False,
        ),
    ] = None,
    keys: File = None,
    index: Index = None,
) -> None:
    """Make a key and show it, this once. A running service knows it at once."""
    from kenspeckle.serve.keys import create

    path, served = _place(keys, index)
    scopes = [word for given in scope or ["read"] for word in given.split(",")]
    made = create(path, name, scopes)
    console.note(f"Written to {path}, hashed, for `kenspeckle serve {served}`.")
    if served == WITHOUT:
        console.note("There is no index here: this is the key of a service without one.")
    if not index and not served.startswith(GIVEN):
        console.note("The service of another index does not know it; make one with --index FILE.")
    console.note("This is the only time the key is shown:")
    console.line(made)


@app.command("list")
def list_(keys: File = None, index: Index = None, as_json: AsJson = False) -> None:
    """List names, scopes and dates of the keys. The keys themselves are not kept."""
    from kenspeckle.serve.keys import read

    known = read(_place(keys, index)[0])
    if as_json:
        for one in known:
            told = {"name": one.name, "scopes": list(one.scopes)}
            console.json_line(told | {"made": one.made, "revoked": one.revoked or None})
    elif known:
        rows = [(one.name, ",".join(one.scopes), one.made, one.revoked or "-") for one in known]
        console.table(("name", "scopes", "made", "revoked"), rows)
    else:
        console.note("No keys.")


@app.command()
def revoke(name: Name, keys: File = None, index: Index = None) -> None:
    """End a key. A running service refuses it at once."""
    from kenspeckle.serve.keys import revoke

    revoke(_place(keys, index)[0], name)
    console.note(f"{name}: revoked")


def _place(keys: str | None, index: str | None) -> tuple[Path, str]:
    """The file of keys that the options and settings mean, and what a service is started with that
    reads it.

    A service of no index has keys, too: they may be made where no index is. IndexMissing for one
    that is named and not there.
    """
    from kenspeckle.errors import IndexMissing
    from kenspeckle.flows.opened import default_path
    from kenspeckle.serve.keys import place

    found = settings({"serve.keys": keys, "index.path": index})
    if found.serve.keys:
        return place(found, ""), f"{GIVEN} {shlex.quote(found.serve.keys)}"
    try:
        path = default_path(found)
    except IndexMissing:
        if found.index.path:
            raise
        return place(found), WITHOUT
    return place(found, path), shlex.quote(str(path))
