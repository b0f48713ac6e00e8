"""Offline bundles: models with cards, licences and hashes in one zip, written and read safely.

    manifest.json      {"kenspeckle_models": 1, "models": [{"name", "source", "commit", "licence",
                        "files": [{"path", "bytes", "sha256"}, …]}, …]}
    NOTICE             attribution lines
    <folder>/<file>    every file of the manifest, stored without compression

Reading trusts nothing: only files of the manifest are taken, each into its model's own folder, with
sizes and hashes checked before any of them replaces a file that is there.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kenspeckle._aside import written
from kenspeckle.config import ModelSettings
from kenspeckle.engines import files, table
from kenspeckle.engines.lock import Locked, LockedFile, install, read_lock, staged
from kenspeckle.engines.table import ModelRow
from kenspeckle.errors import ModelError, ModelMissing

MANIFEST = "manifest.json"
VERSION = 1
MAX_FILE = 8 * 1024**3
"""Largest single file that a bundle may bring, bytes."""

_MAX_MANIFEST = 1024 * 1024
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One model in a bundle; `files` maps plain file names to what each has to be."""

    name: str
    source: str
    files: Mapping[str, LockedFile] = field(default_factory=dict)
    commit: str = ""
    licence: str = ""


def pack(
    out: Path,
    rows: Sequence[ModelRow],
    settings: ModelSettings,
    add: Iterable[Path] = (),
) -> list[Entry]:
    """Write one bundle of installed models, by atomic replace.

    `add` lists files, and folders searched below, in which weights of the table are found by their
    hash when they are not installed. Raises ModelMissing for a model that is nowhere, ModelError
    for one whose files are not what they should be.
    """
    found = _by_hash(add, rows, settings)
    packed = [(row, *_gathered(row, settings, found)) for row in rows]
    entries = [entry for _, entry, _ in packed]
    try:
        with written(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(MANIFEST, _manifest(entries))
            archive.writestr("NOTICE", _notice(entries))
            for row, entry, paths in packed:
                for name in entry.files:
                    archive.write(paths[name], f"{files.folder_of(row)}/{name}")
    except OSError as error:
        raise ModelError(out, f"cannot be written ({error.strerror})") from error
    return entries


def _by_hash(
    add: Iterable[Path], rows: Sequence[ModelRow], settings: ModelSettings
) -> dict[str, Path]:
    """Files among `add` that rows want and that are not installed, by their sha256."""
    wanted = {r.bytes: r for r in rows if r.origin == "pack" and not files.installed(r, settings)}
    found = {}
    for place in add:
        if not place.exists():
            raise ModelMissing(place, "no such file or folder")
        for path in sorted(place.rglob("*.onnx")) if place.is_dir() else [place]:
            if path.is_file() and path.stat().st_size in wanted:
                found[files.file_sha256(path)] = path
    return found


def _gathered(
    row: ModelRow, settings: ModelSettings, found: Mapping[str, Path]
) -> tuple[Entry, dict[str, Path]]:
    """The entry of one model and where its files are now."""
    if row.origin in ("made", "local"):
        found_kind = "has no files" if row.origin == "made" else "is a file of yours: copy it"
        raise ModelError(row.name, found_kind, expected="a model of `kenspeckle models list`")
    if row.origin == "hub":
        files.weights(row, settings)  # compares every file with the lock
        locked = read_lock(files.home(settings))[row.source]
        folder = files.home(settings) / files.folder_of(row)
        paths = {name: folder / name for name in locked.files}
        entry = Entry(row.name, row.source, locked.files, locked.commit, locked.licence)
        return entry, paths
    path = found.get(row.sha256) or files.weights(row, settings)[0]
    paths = {row.source: path, row.card: files.WEIGHTS / row.card}
    described = {name: _described(place) for name, place in paths.items()}
    if described[row.source].sha256 != row.sha256:
        raise ModelError(path, "damaged, or another file", expected=f"sha256 {row.sha256}")
    return Entry(row.name, row.source, described, "", row.licence), paths


def _described(path: Path) -> LockedFile:
    return LockedFile(files.file_sha256(path), path.stat().st_size)


def _manifest(entries: Sequence[Entry]) -> str:
    models = [
        {
            "name": entry.name,
            "source": entry.source,
            "commit": entry.commit,
            "licence": entry.licence,
            "files": [
                {"path": name, "bytes": file.bytes, "sha256": file.sha256}
                for name, file in entry.files.items()
            ],
        }
        for entry in entries
    ]
    return json.dumps({"kenspeckle_models": VERSION, "models": models}, indent=1)


def _notice(entries: Sequence[Entry]) -> str:
    lines = [
        f"{e.name}: {e.licence or 'licence: see its own papers'} ({e.source})" for e in entries
    ]
    own = files.WEIGHTS / "NOTICE"
    return "\n".join([*lines, "", own.read_text(encoding="utf-8")])


def unpack(
    bundle: Path, settings: ModelSettings, rows: Sequence[ModelRow] = ()
) -> list[tuple[Entry, str]]:
    """Bring models of a bundle into the model home; without `rows` all of them.

    Returns each with what became of it: `installed` or `in this package already`. Nothing is
    replaced unless every file of that model has the size and hash that the manifest names, and
    the manifest those that the table or the lock file names. Raises ModelError otherwise.
    """
    try:
        with zipfile.ZipFile(bundle) as archive:
            entries = _read_manifest(archive, str(bundle), bundle.stat().st_size)
            wanted = {row.name for row in rows} or set(entries)
            absent = sorted(wanted - set(entries))
            if absent:
                there = ", ".join(entries) or "nothing"
                raise ModelError(bundle, f"no {', '.join(absent)} in it", expected=there)
            return [
                (entry, _install(archive, entry, settings, str(bundle)))
                for name, entry in entries.items()
                if name in wanted
            ]
    except zipfile.BadZipFile as error:
        raise ModelError(bundle, f"damaged ({error})", expected="a bundle") from error
    except OSError as error:
        raise ModelError(bundle, f"unreadable ({error})", expected="a bundle") from error


def _read_manifest(archive: zipfile.ZipFile, thing: str, size: int) -> dict[str, Entry]:
    """The models of a bundle of `size` bytes, by name."""
    try:
        with archive.open(MANIFEST) as stream:
            text = stream.read(_MAX_MANIFEST + 1)
        data: dict[str, Any] = json.loads(text) if len(text) <= _MAX_MANIFEST else {}
        if data["kenspeckle_models"] != VERSION:
            raise ModelError(
                thing, f"bundle version {data['kenspeckle_models']}", expected=str(VERSION)
            )
        entries = {}
        for model in data["models"]:
            described = {
                str(file["path"]): LockedFile(str(file["sha256"]), int(file["bytes"]))
                for file in model["files"]
            }
            texts = (str(model[key]) for key in ("name", "source", "commit", "licence"))
            name, source, commit, licence = texts
            entries[name] = Entry(name, source, described, commit, licence)
    except (KeyError, TypeError, ValueError, RecursionError, NotImplementedError) as error:
        raise ModelError(thing, "its manifest is damaged", expected="a bundle of ours") from error
    for entry in entries.values():
        for name, file in entry.files.items():
            if not _PLAIN.fullmatch(name) or not 0 <= file.bytes <= MAX_FILE:
                raise ModelError(thing, f"a file {name!r} of {file.bytes} bytes in it")
    total = sum(file.bytes for entry in entries.values() for file in entry.files.values())
    if total > size:  # nothing in a bundle is packed, so it cannot hold more than itself
        raise ModelError(thing, f"files of {total} bytes together", expected=f"at most {size}")
    return entries


def _install(archive: zipfile.ZipFile, entry: Entry, settings: ModelSettings, thing: str) -> str:
    row = table.find(entry.name)
    if row.origin == "embedded":
        return "in this package already"
    if row.origin not in ("pack", "hub") or entry.source != row.source:
        raise ModelError(thing, f"{entry.name} from {entry.source}", expected=row.source)
    home = files.home(settings)
    former = _agree(row, entry, home, thing)
    folder = home / files.folder_of(row)
    with staged(home) as staging:
        for name, file in entry.files.items():
            _extract(archive, f"{folder.name}/{name}", staging / name, file, thing)
        if row.origin == "hub":
            locked = Locked(entry.commit, entry.files, entry.licence)
            install(staging, folder, row.source, locked, former)
        else:  # its hash stands in the table
            folder.mkdir(exist_ok=True)
            for name in entry.files:
                (staging / name).replace(folder / name)
    return "installed"


def _agree(row: ModelRow, entry: Entry, home: Path, thing: str) -> Locked | None:
    """The manifest must say what the table, or the lock of an earlier pull, says, and no more.

    Returns that lock where there is one.
    """
    if row.origin == "pack":
        said = entry.files.get(row.source)
        if said is None or said.sha256 != row.sha256:
            raise ModelError(thing, f"other weights of {row.name}", expected=f"sha256 {row.sha256}")
        _nothing_else(entry, [row.source, row.card], thing)
        return None
    if "config.json" not in entry.files:
        raise ModelError(thing, f"no config.json of {row.name}", expected="a whole checkpoint")
    _nothing_else(entry, files.checkpoint_files(entry.files), thing)
    locked = read_lock(home).get(row.source)
    if locked is not None and dict(locked.files) != dict(entry.files):
        raise ModelError(
            thing,
            f"{row.name} at commit {entry.commit[:12]}",
            expected=f"the one that was pulled first, {locked.commit[:12]}",
            do="To change over, remove its folder and its entry in models.lock.json",
        )
    return locked


def _nothing_else(entry: Entry, needed: Sequence[str], thing: str) -> None:
    """Refuse files that a loader might find beside those of the model, and act upon."""
    others = sorted(set(entry.files) - set(needed))
    if others:
        raise ModelError(
            thing,
            f"{', '.join(others)} among the files of {entry.name}",
            expected=f"{', '.join(name for name in needed if name)} alone",
        )


def _extract(
    archive: zipfile.ZipFile, member: str, target: Path, expected: LockedFile, thing: str
) -> None:
    """Copy one member out, stopping where it is longer or other than the manifest says."""
    try:
        info = archive.getinfo(member)
        if info.file_size != expected.bytes or info.compress_type != zipfile.ZIP_STORED:
            raise ModelError(
                thing, f"{member}: {info.file_size} bytes", expected=str(expected.bytes)
            )
        digest = hashlib.sha256()
        with archive.open(info) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, _Hashing(copy, digest), _PIECE)
    except (KeyError, NotImplementedError, RuntimeError) as error:
        raise ModelError(thing, f"{member} cannot be read ({error})") from error
    if digest.hexdigest() != expected.sha256:
        raise ModelError(thing, f"{member} is damaged", expected=f"sha256 {expected.sha256}")


class _Hashing:
    """A writer that hashes what passes."""

    def __init__(self, inner: Any, digest: Any) -> None:
        self._inner, self._digest = inner, digest

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self._digest.update(data)
        return int(self._inner.write(data))
