"""Which pictures are photos of one capture: said so by the data set, or the same bytes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kenspeckle.evaluate.samples import Dataset, Sample

_PEEK = 4096
"""Bytes of the middle of a file that are compared before whole files are."""


def captures(dataset: Dataset) -> dict[Sample, str]:
    """The capture of every sample: the name of the first sample that belongs to it.

    Samples belong together that name one capture, that are one file, or whose files are equal to
    the byte. Shots of a burst that are not said to be one are not found.
    """
    samples = sorted(
        {*dataset.references, *dataset.queries, *dataset.strangers},
        key=lambda s: (s.name, s.role, s.label),
    )
    parent = list(range(len(samples)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[tuple[str, str], int] = {}
    same = _equal_files({sample.path for sample in samples})
    for place, sample in enumerate(samples):
        keys = [("file", same.get(sample.path, str(sample.path)))]
        if sample.capture:
            keys.append(("capture", sample.capture))
        for key in keys:
            one, other = root(first.setdefault(key, place)), root(place)
            parent[max(one, other)] = min(one, other)
    return {sample: samples[root(place)].name for place, sample in enumerate(samples)}


def _equal_files(paths: Iterable[Path]) -> dict[Path, str]:
    """For each file that has an equal one, the hash that they share.

    Whole files are read only where size and a piece of the middle agree.
    """
    groups: list[Sequence[Path]] = [list(paths)]
    for look in (_size, _middle):
        groups = [part for group in groups for part in _parted(group, look)]
    found: dict[Path, str] = {}
    for group in groups:
        for part in _parted(group, _whole):
            found |= dict.fromkeys(part, _whole(part[0]))
    return found


def _parted(group: Iterable[Path], look: Callable[[Path], str]) -> list[Sequence[Path]]:
    """The files of a group that look alike, where there are two at least."""
    parts = defaultdict(list)
    for path in group:
        try:
            parts[look(path)].append(path)
        except OSError:
            continue  # it fails again, and is counted, when it is embedded
    return [part for part in parts.values() if len(part) > 1]


def _size(path: Path) -> str:
    return str(path.stat().st_size)


def _middle(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(path.stat().st_size // 2)
        return hashlib.sha256(file.read(_PEEK)).hexdigest()


def _whole(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
