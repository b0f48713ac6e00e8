"""`kenspeckle export` and `kenspeckle import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kenspeckle.cli import console, options
from kenspeckle.config import Settings
from kenspeckle.flows.opened import DEFAULT_PATHS
from kenspeckle.gallery import Gallery


def export(
    out: Annotated[
        str, typer.Argument(metavar="FILE", help="The file to write; .npz by that suffix.")
    ],
    index: options.Index = None,
    as_json: options.AsJson = False,
) -> None:
    """Copy an index to a new file, as an .npz that numpy and older programs read."""
    _copy(options.settings({"index.path": index}), out, as_json)


def import_(
    source: Annotated[str, typer.Argument(metavar="FILE", help="An .npz, or an index file.")],
    target: Annotated[
        str | None, typer.Argument(metavar="OUT", help="The index to write. Default: gallery.ken.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="FILE", help="The same.", show_default=False),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Make an index from an .npz, also from one of the former system."""
    written = options.once(target, out, "'OUT' / '--out'") or DEFAULT_PATHS[0]
    _copy(options.settings({"index.path": source}), written, as_json)


def _copy(settings: Settings, out: str, as_json: bool) -> None:
    with Gallery.open(settings=settings) as gallery:
        source, made_by = gallery.store.path, gallery.store.manifest.fingerprint
        count = gallery.export(out)
    size = Path(out).stat().st_size
    if as_json:
        console.json_line({"from": source, "to": out, "vectors": count, "bytes": size})
        return
    rows = f"{console.counted(count, 'vector')} × {made_by.width}"
    console.line(f"{out}: {rows} from {source}, {console.size(size)}.")
