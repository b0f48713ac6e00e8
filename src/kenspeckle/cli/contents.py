"""`kenspeckle add`, `remove` and `list`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from kenspeckle.cli import console, options, wording
from kenspeckle.cli.opening import opened
from kenspeckle.errors import SettingError
from kenspeckle.gallery import Gallery
from kenspeckle.types import Item, Reference


def add(
    picture: Annotated[
        str, typer.Argument(metavar="PICTURE", help="A picture file, or its address.")
    ],
    label: Annotated[
        str,
        typer.Option(
            "--label",
            metavar="NAME",
            help="What it shows. Default: the file's name.",
            show_default=False,
        ),
    ] = "",
    key: Annotated[
        str,
        typer.Option(
            "--key",
            metavar="KEY",
            help="Item it belongs to. Default: made from the label.",
            show_default=False,
        ),
    ] = "",
    variant: Annotated[
        str,
        typer.Option(
            "--variant", metavar="NAME", help="Print or finish of the item.", show_default=False
        ),
    ] = "",
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            "--meta", metavar="NAME=VALUE", help="Comes back with the answer.", show_default=False
        ),
    ] = None,
    index: options.Index = None,
    model: options.Model = None,
    projection: options.Head = None,
    home: options.Home = None,
    offline: options.Offline = None,
    as_json: options.AsJson = False,
) -> None:
    """Enrol one picture. A later `index` leaves it alone."""
    pairs = dict(_pair(text) for text in metadata or ())
    given = {
        "index.path": index,
        "models.name": model,
        "models.head": projection,
        "models.home": home,
        "models.offline": offline,
    }
    with opened(options.settings(given), write=True) as gallery:
        number = gallery.add(picture, label=label, key=key, variant=variant, metadata=pairs)
        (reference,) = gallery.store.get([number])
        path, told = gallery.store.path, _stale(gallery)
    if as_json:
        console.json_line({"index": path, "id": number} | _reference_data(reference))
        return
    console.line(f"{path}: added {reference.label} from {picture}.")
    if told:
        console.line(told)


def _stale(gallery: Gallery) -> str:
    """That the calibration is out of date and what renews it; empty where it is not."""
    if not (why := gallery.stale):
        return ""
    store = gallery.store
    asked = gallery.settings.identify
    return wording.stale(why, store.path, gallery.calibration, store.manifest.refs, asked)


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise typer.BadParameter(f"'{text}'; expected NAME=VALUE", param_hint="--meta")
    return name, value


def remove(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="An item's key or label, or a reference's path."),
    ],
    index: options.Index = None,
    as_json: options.AsJson = False,
) -> None:
    """Erase items or single references, with their vectors and thumbnails.

    The pictures stay where they are: the next `index` of their folder enrols them again.
    """
    settings = options.settings({"index.path": index})
    with Gallery.open(settings=settings, write=True) as gallery:
        before = gallery.references()
        count = gallery.remove(*names)
        left_over = gallery.references()
        references, items = len(left_over), len(gallery.items())
        path, folder = gallery.store.path, gallery.store.manifest.refs
        stale, told = gallery.stale, _stale(gallery)
    if as_json:
        data = {"index": path, "removed": count, "references": references, "items": items}
        console.json_line(data | {"stale": stale})
        return
    left = f"{console.counted(references, 'reference')} of {console.counted(items, 'item')}"
    console.line(f"{path}: {console.counted(count, 'row')} erased, {left} left.")
    if folder and sum(not one.origin for one in before) > sum(not one.origin for one in left_over):
        console.line(
            f"The next `kenspeckle index` of {folder} enrols again what is still there; take the "
            "pictures away to keep them out."
        )
    if told:
        console.line(told)


def list_(
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="Only these items, by key or label."),
    ] = None,
    references: Annotated[
        bool, typer.Option("--references", help="List the references of the items.")
    ] = False,
    index: options.Index = None,
    as_json: options.AsJson = False,
) -> None:
    """List the items, or their references."""
    with Gallery.open(settings=options.settings({"index.path": index})) as gallery:
        items = _chosen(gallery.items(), keys or ())
        wanted = {item.key for item in items}
        rows = [row for row in gallery.references() if row.key in wanted] if references else []
    if references:
        _show_references(rows, as_json)
    else:
        _show_items(items, as_json)


def _chosen(items: Sequence[Item], keys: Sequence[str]) -> list[Item]:
    for key in keys:
        if not any(key in (item.key, item.label) for item in items):
            raise SettingError(
                key, "no such item", expected="a key or a label", do="See `kenspeckle list`"
            )
    return [item for item in items if not keys or {item.key, item.label} & set(keys)]


def _show_items(items: Sequence[Item], as_json: bool) -> None:
    if as_json:
        for item in items:
            console.json_line(
                {
                    "key": item.key,
                    "label": item.label,
                    "variants": list(item.variants),
                    "references": item.references,
                }
            )
        return
    console.table(
        ("key", "label", "variants", "references"),
        [(i.key, i.label, ", ".join(filter(None, i.variants)), i.references) for i in items],
    )


def _show_references(rows: Sequence[Reference], as_json: bool) -> None:
    if as_json:
        for row in rows:
            console.json_line(_reference_data(row))
        return
    console.table(
        ("path", "label", "variant", "bytes", "from"),
        [(r.path, r.label, r.variant, _size(r), r.origin or "index") for r in rows],
    )


def _size(reference: Reference) -> str:
    return str(reference.size) if reference.size >= 0 else "-"


def _reference_data(reference: Reference) -> dict[str, object]:
    return {
        "path": reference.path,
        "key": reference.key,
        "label": reference.label,
        "variant": reference.variant,
        "sha256": reference.sha256,
        "bytes": reference.size if reference.size >= 0 else None,
        "added": reference.origin == "added",
        "metadata": dict(reference.metadata),
    }
