"""A second look at true boxes: geometry of each box with its nearest logos, kept in a file.

The box is cut out and enlarged to `SIDE`, and compared with one reference, the nearest, of each of
its `DEEP` nearest logos of the table; a shortlist among the enrolled half lies within these.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from kenspeckle.engines import features, geometry
from kenspeckle.engines.features import Features, open_features
from kenspeckle.engines.geometry import compare
from kenspeckle.evaluate.asking import Gallery, Query
from kenspeckle.match.second_look import strength

DEEP, SIDE = 20, 256
Looks = Mapping[str, Mapping[str, float]]
"""By photo and box, and label: the evidence."""


def name_of(query: Query) -> str:
    """A box as it is kept."""
    return f"{query.photo} {query.box}"


def looked(
    scenes: Path, table: str, draws: Sequence[tuple[Gallery, Sequence[Query]]], space: str
) -> Looks:
    """Look at every box of a table, or read what is kept."""
    sources = [Path(str(m.__file__)).read_bytes() for m in (features, geometry)]
    rows = {
        file: (row, gallery.labels[owner])
        for gallery, _ in draws
        for file, row, owner in zip(gallery.files, gallery.rows, gallery.owners, strict=True)
    }
    queries = {name_of(query): query for _, asked in draws for query in asked}
    made_by = [
        *sources,
        Path(__file__).read_bytes(),
        repr((sorted(rows), sorted(queries))).encode(),
    ]
    version = hashlib.sha256(b"".join(made_by)).hexdigest()[:8]
    kept = scenes / f"looks-{table}-{space}-{version}.json"
    if not kept.is_file():
        half = kept.with_suffix(".part")
        half.write_text(json.dumps(_compared(scenes, rows, queries)))
        half.replace(kept)
    found: Looks = json.loads(kept.read_text())
    return found


def _compared(
    scenes: Path, rows: Mapping[str, tuple[object, str]], queries: Mapping[str, Query]
) -> dict[str, dict[str, float]]:
    files = sorted(rows)
    vectors = np.stack([np.asarray(rows[file][0]) for file in files])
    known: dict[str, Features] = {}
    found: dict[str, dict[str, float]] = {}
    extractor = open_features("sift")
    for number, (name, query) in enumerate(queries.items()):
        asked = extractor.extract(_box(scenes / query.photo, query.box))
        nearest: dict[str, str] = {}
        for place in np.argsort(-(vectors @ query.rows[0]), kind="stable"):
            nearest.setdefault(rows[files[place]][1], files[place])
            if len(nearest) == DEEP:
                break
        for file in nearest.values():
            if file not in known:
                known[file] = extractor.extract(_box(scenes / file, None))
        found[name] = {
            label: round(strength(compare(asked, known[file])), 4)
            for label, file in nearest.items()
        }
        if number % 100 == 0:
            print(f"looks: {number}/{len(queries)}", file=sys.stderr, flush=True)
    extractor.close()
    return found


def _box(path: Path, box: tuple[int, int, int, int] | None) -> Image.Image:
    with Image.open(path) as file:
        image = file.convert("RGB")
    if box is None:
        return image
    image = image.crop(box)
    times = max(1.0, SIDE / max(image.size))
    return image.resize((round(image.width * times), round(image.height * times)))
