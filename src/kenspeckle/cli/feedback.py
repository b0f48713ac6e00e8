"""`kenspeckle confirm`, `reject`, `rename` and `feedback`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from kenspeckle.cli import console, options, wording
from kenspeckle.cli.opening import opened
from kenspeckle.flows.carry import Carried
from kenspeckle.gallery import Gallery
from kenspeckle.types import Feedback

COUNTS = (
    "The answer stays; a calibration with --strangers counts it as one of them, and one with 100 "
    "labelled photos in the confidence."
)
"""What a rejection does, and when."""
PhotoArgument = Annotated[
    str, typer.Argument(metavar="PHOTO", help="A picture file, or its address.")
]


def confirm(
    photo: PhotoArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The item it shows: key or label.")],
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant",
            metavar="NAME",
            help="Print or finish of the item. Default: the one it is nearest to.",
            show_default=False,
        ),
    ] = None,
    index: options.Index = None,
    model: options.Model = None,
    projection: options.Head = None,
    regions: options.Regions = None,
    home: options.Home = None,
    offline: options.Offline = None,
    as_json: options.AsJson = False,
) -> None:
    """Say that a photo shows an item; it becomes a reference.

    A later `index` leaves it alone, and the next calibration learns from it.
    """
    with _opened(index, model, projection, regions, home, offline) as gallery:
        said = gallery.confirm(photo, key, variant=variant)
        _tell(gallery, said, as_json, f"{photo} shows '{said.key}' and is a reference of it now.")


def reject(
    photo: PhotoArgument,
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="The item it does not show. Default: what it is named now."
        ),
    ] = "",
    index: options.Index = None,
    model: options.Model = None,
    projection: options.Head = None,
    regions: options.Regions = None,
    home: options.Home = None,
    offline: options.Offline = None,
    as_json: options.AsJson = False,
) -> None:
    """Say that a photo does not show what it was named.

    The answer stays. A calibration with strangers given (--strangers) counts the photo as one of
    them while it is still taken for that item; one with 100 labelled photos or more fits the
    confidence on it, too. Any other one only keeps it.
    """
    with _opened(index, model, projection, regions, home, offline) as gallery:
        said = gallery.reject(photo, key)
        _tell(gallery, said, as_json, f"{photo} does not show '{said.key}'. {COUNTS}")


def rename(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The item: its key or label.")],
    label: Annotated[
        str, typer.Argument(metavar="NEW-LABEL", help="What to call it. Default: as it is.")
    ] = "",
    new_key: Annotated[
        str,
        typer.Option("--key", metavar="NEW", help="Its key from now on.", show_default=False),
    ] = "",
    merge: Annotated[
        bool, typer.Option("--merge", help="Let it become one with the item that has that key.")
    ] = False,
    index: options.Index = None,
    as_json: options.AsJson = False,
) -> None:
    """Give an item another name, which later runs keep.

    Pictures that are added to the references folder under the old name join it, too.
    """
    settings = options.settings({"index.path": index})
    with Gallery.open(settings=settings, write=True) as gallery:
        item = gallery.rename(key, label, new_key=new_key, merge=merge)
        path = gallery.store.path
    if as_json:
        data = {"index": path, "former": key, "key": item.key, "label": item.label}
        console.json_line(data)
        return
    console.line(f"{path}: {key} is '{item.label}' now, key '{item.key}'.")


def feedback(
    undo: Annotated[
        int | None,
        typer.Option(
            "--undo",
            metavar="NUMBER",
            help="Take this feedback back, and the reference it made.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Take over names and feedback of this other index.",
            show_default=False,
        ),
    ] = None,
    index: options.Index = None,
    model: options.Model = None,
    projection: options.Head = None,
    home: options.Home = None,
    offline: options.Offline = None,
    as_json: options.AsJson = False,
) -> None:
    """List what was confirmed and rejected; take it back."""
    if source is not None:
        if undo is not None:
            raise typer.BadParameter("not together with --undo", param_hint="--from")
        with _opened(index, model, projection, None, home, offline) as gallery:
            _tell_carried(gallery, gallery.take_feedback(source), source, as_json)
        return
    settings = options.settings({"index.path": index})
    if undo is not None:
        with Gallery.open(settings=settings, write=True) as gallery:
            said = gallery.undo_feedback(undo)
            _tell(gallery, said, as_json, f"feedback {undo} is taken back.")
        return
    with Gallery.open(settings=settings) as gallery:
        found = gallery.feedback()
    if as_json:
        for one in found:
            console.json_line(_data(one))
        return
    console.table(
        ("number", "said", "key", "photo", "date", "regions"),
        [(o.id, o.kind, o.key, o.name, o.date[:10], _regions(o)) for o in found],
    )


@contextmanager
def _opened(
    index: str | None,
    model: str | None,
    projection: str | None,
    regions: str | None,
    home: str | None,
    offline: bool | None,
) -> Iterator[Gallery]:
    given = {
        "index.path": index,
        "models.name": model,
        "models.head": projection,
        "models.home": home,
        "models.offline": offline,
        "identify.regions": regions,
    }
    with opened(options.settings(given), write=True) as gallery:
        yield gallery


def _tell(gallery: Gallery, said: Feedback, as_json: bool, text: str) -> None:
    path, stale = gallery.store.path, gallery.stale
    if as_json:
        console.json_line({"index": path} | _data(said) | {"stale": stale})
        return
    console.line(f"{path}: {text}")
    _tell_stale(gallery)


def _tell_carried(gallery: Gallery, found: Carried, source: str, as_json: bool) -> None:
    path, stale = gallery.store.path, gallery.stale
    if as_json:
        left = [_data(one) | {"why": why} for one, why in found.left]
        taken = [_data(one) for one in found.taken]
        data = {"index": path, "from": source, "renamed": found.renamed}
        console.json_line(data | {"taken": taken, "left": left, "stale": stale})
        return
    counts = f"feedback on {console.counted(len(found.taken), 'photo')}"
    renamed = console.counted(found.renamed, "reference")
    console.line(f"{path}: {counts} taken over from {source}, {renamed} renamed.")
    for one, why in found.left:
        console.line(f"  left out: {one.kind} {one.name} as '{one.key}': {why}")
    _tell_stale(gallery)


def _tell_stale(gallery: Gallery) -> None:
    if why := gallery.stale:
        rule, asked = gallery.calibration, gallery.settings.identify
        console.line(wording.stale(why, gallery.store.path, rule, asked=asked))


def _data(said: Feedback) -> dict[str, Any]:
    return {
        "number": said.id,
        "said": said.kind,
        "key": said.key,
        "photo": said.name,
        "sha256": said.sha256,
        "date": said.date,
        "regions": said.regions,
        "vectors": len(said.rows),
    }


def _regions(said: Feedback) -> str:
    return said.regions if len(said.rows) else "set aside: of another model"
