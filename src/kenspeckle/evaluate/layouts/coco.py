"""COCO annotations: one JSON with images, annotations and categories."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kenspeckle.catalog.entry import shown
from kenspeckle.catalog.rows import load_json
from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.samples import Found, Role, Sample, Truth
from kenspeckle.types import Box

MAX_BYTES = 1024 * 1024 * 1024
PARTS = ("images", "annotations", "categories")


def coco(path: Path) -> Found:
    """Every box may be a reference, every picture with a box a query, any other a stranger.

    A category is an item; two of one name are told apart by their supercategory. Pictures lie
    beside the file, or in a folder `images` beside it or above it. Raises CatalogError for a file
    that is no such JSON.
    """
    name = shown(str(path))
    data = _loaded(path, name)
    found = Found(path.parent, "coco", path.stem)
    labels = _labels(data["categories"])
    images = {}
    for image in data["images"]:
        file = image.get("file_name") if isinstance(image, dict) else None
        if not isinstance(file, str) or not _plain(file):
            found.leave_out(f"image {shown(str(image))[:60]}", "no file name below this folder")
        elif image.get("id") in images:
            found.leave_out(shown(file), "an image whose id another has")
        else:
            images[image.get("id")] = file
    truths: dict[Any, dict[Truth, None]] = {number: {} for number in images}
    for mark in data["annotations"]:
        if (why := _put(mark, truths, labels)) is not None:
            number = mark.get("id") if isinstance(mark, dict) else mark
            found.leave_out(f"annotation {shown(str(number))[:60]}", why)
    base = _base(path, list(images.values()))
    if base != path.parent:
        found.notes.append(f"pictures lie in '{shown(str(base))}'")
    for number, file in images.items():
        shows, where = tuple(truths[number]), base / file
        called = found.name_of(where)
        role: Role = "query" if shows else "stranger"
        found.samples.append(Sample(role, where, called, shows, called))
        found.samples += [Sample("reference", where, called, (one,), called) for one in shows]
    return found


def is_coco(path: Path) -> bool:
    """Whether a JSON file names the three parts near its beginning or end."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
        file.seek(max(0, path.stat().st_size - (1 << 16)))
        seen = head + file.read()
    if path.stat().st_size > MAX_BYTES or seen.lstrip()[:1] != b"{":
        return False
    return sum(f'"{part}"'.encode() in seen for part in PARTS) >= 2


def _loaded(path: Path, name: str) -> Mapping[str, Any]:
    if path.stat().st_size > MAX_BYTES:
        raise CatalogError(name, "too large", expected=f"at most {MAX_BYTES >> 20} MiB")
    try:
        data = load_json(path.read_text("utf-8-sig"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(name, f"cannot be read ({error})") from error
    if not isinstance(data, dict) or not all(isinstance(data.get(part), list) for part in PARTS):
        raise CatalogError(name, "no COCO annotations", expected=f"lists {', '.join(PARTS)}")
    return data


def _labels(categories: list[Any]) -> dict[Any, str]:
    """The label of each category id."""
    usable = [c for c in categories if isinstance(c, dict) and str(c.get("name") or "").strip()]
    counts = Counter(str(c["name"]).strip() for c in usable)
    return {
        c.get("id"): str(c["name"]).strip()
        if counts[str(c["name"]).strip()] == 1
        else f"{c.get('supercategory') or c.get('id')}/{str(c['name']).strip()}"
        for c in usable
    }


def _put(mark: Any, truths: dict[Any, dict[Truth, None]], labels: dict[Any, str]) -> str | None:
    """Put one annotation to its image, or say why not."""
    if not isinstance(mark, dict):
        return "no object"
    if mark.get("iscrowd"):
        return "a crowd"
    if not _known(mark.get("image_id"), truths):
        return "an image that is not listed"
    if not _known(mark.get("category_id"), labels):
        return "a category that is not listed"
    box = _box(mark.get("bbox"))
    if box is None:
        return "a box that is not [x, y, width, height]"
    truths[mark["image_id"]][Truth(shown(labels[mark["category_id"]]), box)] = None
    return None


def _known(number: Any, table: Mapping[Any, Any]) -> bool:
    return isinstance(number, int | str) and number in table


def _box(said: Any) -> Box | None:
    try:
        x, y, width, height = (float(value) for value in said)
        return math.floor(x), math.floor(y), math.ceil(x + width), math.ceil(y + height)
    except (TypeError, ValueError, OverflowError):
        return None


def _plain(name: str) -> bool:
    """Whether a file name leads below the folder it starts in."""
    path = Path(name)
    return bool(name) and "\0" not in name and not path.is_absolute() and ".." not in path.parts


def _base(path: Path, files: list[str]) -> Path:
    """The folder in which most of the first pictures are."""
    places = (path.parent, path.parent / "images", path.parent.parent / "images")
    return max(places, key=lambda place: sum((place / file).is_file() for file in files[:50]))
