"""The `.npz` form of an index: arrays that numpy and older programs read.

Members: `embeddings` float32 `(N, D)` unit rows; `names` and `filenames`, `(N,)` text of fixed
width, so that no pickle is needed; `feedback` float32 `(F, D)`, where there is any, the rows of all
feedback one after another; `kenspeckle`, `(n,)` uint8, UTF-8 JSON with all the rest (fingerprint,
keys, paths, hashes, …; thumbnails and local features are left out). A file without the last member
is one of the former system: its names may be pickled objects, which a restricted reader takes
apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from kenspeckle.errors import IndexBusy, IndexCorrupt, IndexMissing, IndexVersion, InputError
from kenspeckle.store import archive
from kenspeckle.store.base import Manifest, Summary
from kenspeckle.store.checks import check_feedback
from kenspeckle.store.contents import Contents, Said
from kenspeckle.types import Calibration, Feedback, Fingerprint, Float32, Recipe, Reference

FORMAT = 2
"""Version of the `kenspeckle` member."""

MAX_WIDTH = 65_536

Namer = Callable[[str, str], Reference]
"""Makes a reference from a stored name and a file name, for files that hold nothing else."""

_CLIP = Recipe(
    side=224,
    fit="crop",
    mean=(122.7709383, 116.7460125, 104.09373615),
    std=(68.5005327, 66.6321579, 70.32316305),
    reduce=False,
)

_FIELDS = tuple(one.name for one in fields(Reference) if one.name != "metadata")
_SAID = tuple(one.name for one in fields(Feedback) if one.name not in ("id", "rows"))


@dataclass(frozen=True, slots=True)
class Table:
    """What an `.npz` holds as arrays, unchecked: `rows` may be neither finite nor unit."""

    rows: Float32
    names: list[str]
    filenames: list[str]


def read_table(path: Path) -> Table:
    """The arrays of an `.npz`. Raises IndexMissing, IndexCorrupt, UnsafeFile."""
    with archive.opened(path) as file:
        return _table(file)


def _table(file: archive.Archive) -> Table:
    count, _ = _size(file)
    rows = np.ascontiguousarray(file.array("embeddings"), np.float32)
    names = file.texts("names", count)
    filenames = file.texts("filenames", count) if "filenames" in file else [""] * count
    return Table(rows, names, filenames)


def _size(file: archive.Archive) -> tuple[int, int]:
    shape, kind = file.shape("embeddings")
    if len(shape) != 2 or kind.kind != "f" or not 0 < shape[1] <= MAX_WIDTH:
        raise file.corrupt(f"embeddings of shape {shape}, type {kind}")
    return shape[0], shape[1]


def _rest(file: archive.Archive) -> dict[str, Any] | None:
    """The JSON member, None when there is none. Raises IndexCorrupt, IndexVersion."""
    if "kenspeckle" not in file:
        return None
    try:
        data = json.loads(file.array("kenspeckle").astype(np.uint8, casting="equiv").tobytes())
        version = int(data["format"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise file.corrupt(f"its member 'kenspeckle' cannot be read ({error})") from error
    if version > FORMAT:
        raise IndexVersion(
            file.path,
            f"format {version}",
            expected=f"at most {FORMAT}",
            do="Update kenspeckle",
        )
    return dict(data)


def unnamed(width: int) -> Fingerprint:
    """The fingerprint of a file that names no model: as much as its width tells.

    512 columns are CLIP ViT-B/32 with its own recipe, 256 the same with a head. The hashes are not
    known, so it equals the fingerprint of no model.
    """
    if width == 512:
        return Fingerprint("clip-vit-b-32", "", _CLIP, width)
    if width == 256:
        return Fingerprint("clip-vit-b-32", "", _CLIP, width, head="unknown")
    return Fingerprint("unknown", "", _CLIP, width)


def read(path: Path, named: Namer | None = None) -> Contents:
    """Everything an `.npz` holds, checked. `named` makes references where only names are stored.

    Raises IndexMissing, IndexCorrupt (rows that are not finite or not unit are named),
    IndexVersion, UnsafeFile.
    """
    with archive.opened(path) as file:
        rest, table = _rest(file), _table(file)
        _check_rows(file, table)
        if rest is None:
            return _foreign(table, named or _by_name)
        try:
            return replace(_own(rest, table), feedback=_said(file, rest, table.rows.shape[1]))
        except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
            raise file.corrupt(f"its member 'kenspeckle' is incomplete ({error!r})") from error


def _check_rows(file: archive.Archive, table: Table) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.einsum("ij,ij->i", table.rows, table.rows))
    wrong = np.flatnonzero(~(np.abs(length - 1) <= 1e-3))
    if len(wrong):
        some = ", ".join(f"row {n} ({table.names[n]}): {length[n]:.4g}" for n in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise IndexCorrupt(
            file.path,
            f"vectors that are not of length 1: {some}{more}",
            expected="finite unit rows",
            do="Index the references anew",
        )


def _own(rest: Mapping[str, Any], table: Table) -> Contents:
    manifest = Manifest.from_dict(rest["manifest"])
    references = [Reference(**row) for row in rest["references"]]
    ids = [int(identifier) for identifier in rest["ids"]]
    calibration = rest["calibration"] and Calibration.from_dict(rest["calibration"])
    width = table.rows.shape[1]
    if manifest.fingerprint.width != width or not len(ids) == len(references) == len(table.rows):
        raise ValueError(f"{len(references)} references of width {manifest.fingerprint.width}")
    if len({(one.path, one.view) for one in references}) < len(references):
        raise ValueError("a reference twice")
    order = np.argsort(np.array(ids, np.int64), kind="stable")
    if len(set(ids)) < len(ids) or any(identifier < 1 for identifier in ids):
        raise ValueError("an id twice, or below 1")
    return Contents(
        manifest,
        table.rows[order],
        [ids[n] for n in order],
        [references[n] for n in order],
        calibration,
        int(rest["change"]),
        max([int(rest["next_id"]), *(identifier + 1 for identifier in ids)]),
    )


def _said(file: archive.Archive, rest: Mapping[str, Any], width: int) -> Said:
    """The feedback; a file of format 1 holds none."""
    if "feedback" not in rest:
        return Said()
    entries, sizes = rest["feedback"], [int(one["rows"]) for one in rest["feedback"]]
    rows = np.empty((0, width), np.float32)
    if min(sizes, default=0) < 0 or not all(
        isinstance(one[t], str) for one in entries for t in _SAID
    ):
        raise ValueError("feedback of another kind")
    if sum(sizes):
        shape, kind = file.shape("feedback")
        if shape != (sum(sizes), width) or kind != np.float32:
            raise ValueError(f"feedback of shape {shape}, type {kind}")
        rows = file.array("feedback")
    parts = np.split(rows, np.cumsum(sizes)[:-1]) if sizes else []
    found = {}
    for one, own in zip(entries, parts, strict=True):
        feedback = Feedback(**{**one, "rows": own})
        check_feedback(feedback, width)
        found[int(one["id"])] = feedback
    if len(found) < len(entries) or min(found, default=1) < 1:
        raise ValueError("feedback with an id twice, or below 1")
    next_id = max([int(rest["feedback_next"]), *(number + 1 for number in found)])
    return Said(found, next_id, int(rest["feedback_change"]))


def _foreign(table: Table, named: Namer) -> Contents:
    fingerprint = unnamed(table.rows.shape[1])
    manifest = Manifest(fingerprint, naming="cards", options={"unnamed": "yes"})
    references, taken = [], set[str]()
    for number, (name, filename) in enumerate(zip(table.names, table.filenames, strict=True)):
        path = filename if filename and filename not in taken else f"{filename}#{number}"
        taken.add(path)
        one = named(name, filename)
        metadata = {"stored_name": name, **one.metadata}
        references.append(Reference(one.key, one.label, path, one.variant, metadata=metadata))
    count = len(references)
    ids = list(range(1, count + 1))
    return Contents(manifest, table.rows, ids, references, None, 1, count + 1)


def _by_name(name: str, filename: str) -> Reference:
    label = name or filename
    return Reference(label, label, filename)


def stored_name(reference: Reference) -> str:
    """The `names` entry of a reference: what its scheme stored, else label and variant.

    >>> stored_name(Reference("mug", "Mug", "mug.jpg", variant="blue"))
    'Mug blue'
    """
    kept = reference.metadata.get("stored_name")
    return kept or f"{reference.label} {reference.variant}".rstrip()


def write(path: Path, contents: Contents) -> None:
    """Write an `.npz` in place of the old one, at once or not at all. Raises IndexReadOnly."""
    references, said = contents.references, list(contents.feedback.found.values())
    rest = {
        "format": FORMAT,
        "manifest": contents.manifest.to_dict(),
        "calibration": contents.calibration and contents.calibration.to_dict(),
        "change": contents.change,
        "next_id": contents.next_id,
        "ids": contents.ids,
        "references": [
            {**{name: getattr(one, name) for name in _FIELDS}, "metadata": dict(one.metadata)}
            for one in references
        ],
        "feedback": [{**asdict(one), "rows": len(one.rows)} for one in said],
        "feedback_change": contents.feedback.change,
        "feedback_next": contents.feedback.next_id,
    }
    arrays = {
        "embeddings": np.ascontiguousarray(contents.rows, np.float32),
        "names": np.array([stored_name(one) for one in references], np.str_),
        "filenames": np.array([one.filename for one in references], np.str_),
        "kenspeckle": np.frombuffer(json.dumps(rest).encode("ascii"), np.uint8),
    }
    if any(len(one.rows) for one in said):
        arrays["feedback"] = np.concatenate([one.rows for one in said])
    archive.write(path, arrays)


class NpzHome:
    """An `.npz` as the home of a store in memory."""

    def __init__(self, path: Path, named: Namer | None = None) -> None:
        self.path, self._file, self._named = str(path), path, named

    def read(self) -> Contents:
        """What the file holds; see `read`."""
        return read(self._file, self._named)

    def write(self, contents: Contents, stamp: tuple[int, ...]) -> None:
        """Replace the file of that stamp, or make it where the stamp is empty.

        Raises IndexMissing if it is gone, IndexBusy if it is another by now, IndexReadOnly.
        """
        now = self.stamp()
        if stamp and not now:
            raise IndexMissing(
                Path(self.path),
                "deleted or moved since it was opened",
                do="Put it back, or index anew",
            )
        if now != stamp:
            raise IndexBusy(
                Path(self.path),
                "another process has replaced it since it was opened",
                do="Run the command again",
            )
        write(self._file, contents)

    def stamp(self) -> tuple[int, ...]:
        """Number, size and time of the file; empty when there is none."""
        try:
            found = self._file.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns


def peek(path: Path) -> Summary:
    """What an `.npz` says of itself, without reading its vectors.

    Raises IndexMissing, IndexCorrupt, IndexVersion, UnsafeFile.
    """
    with archive.opened(path) as file:
        count, width = _size(file)
        rest, version, calibration = _rest(file), 0, None
        manifest = Manifest(unnamed(width), naming="cards", options={"unnamed": "yes"})
        items, references = len(set(file.texts("names", count))), count
        if rest is not None:
            try:
                version, manifest = int(rest["format"]), Manifest.from_dict(rest["manifest"])
                calibration = rest["calibration"] and Calibration.from_dict(rest["calibration"])
                items = len({row["key"] for row in rest["references"]})
                references = sum(not row["view"] for row in rest["references"])
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise file.corrupt(f"its member 'kenspeckle' is incomplete ({error!r})") from error
        size = path.stat().st_size
    return Summary(str(path), "npz", version, manifest, items, references, count, size, calibration)
