"""What a gallery goes through before it is served: named, looked at, calibrated, searched once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from kenspeckle._extras import need
from kenspeckle.config import Settings
from kenspeckle.errors import GalleryError, IndexMissing, SettingError
from kenspeckle.flows.calibrate import quick
from kenspeckle.flows.former import taken_for
from kenspeckle.flows.opened import default_path, rule
from kenspeckle.flows.renewal import renewal
from kenspeckle.gallery import Gallery
from kenspeckle.regions.base import effective
from kenspeckle.serve.resident import Standing
from kenspeckle.store.base import Store
from kenspeckle.types import Calibration

SECONDS = 5.0
"""Time for the quick calibration of a gallery that has none."""


def searched(gallery: Gallery) -> None:
    """Search a gallery once, for nothing."""
    if len(gallery):
        row = np.zeros((1, gallery.model.width), np.float32)
        row[0, 0] = 1
        gallery.store.search(row, 1)


def calibrated(gallery: Gallery) -> str:
    """Fit a rule for unknowns, and keep it in the index where that may be; what came of it.

    One that another process stores meanwhile stays, and no file gets the rule of another that was
    put in its place. An `.npz` would have to be written anew as a whole: there it is kept as long
    as this runs.
    """
    while True:
        opened = gallery.opened
        edition = opened.store.edition
        if opened.store.calibration() is not None:
            return "somebody else made one just now"
        calibration = quick(opened, seconds=SECONDS)
        if calibration is None:
            return "no rule for unknowns could be fitted, it offers no strangers"
        if kept := _kept(opened.store, calibration, edition):
            return f"a quick calibration was made {kept}"


def _kept(store: Store, calibration: Calibration, edition: int) -> str:
    """How a rule is kept, empty where the file is another by now or has one."""

    def wanted() -> bool:
        return store.edition == edition and store.calibration() is None

    if not store.path.lower().endswith(".npz"):
        with contextlib.suppress(GalleryError), store.writing(0.0), store.one_commit():
            if wanted():
                store.set_calibration(calibration)
                return "and stored"
    with contextlib.suppress(GalleryError):
        store.refresh()
    if not wanted():
        return ""
    store.assume(calibration)
    return "for as long as this runs"


def remarks(gallery: Gallery) -> Iterator[str]:
    """What is to be said of a gallery that can be served. Raises MissingExtra where a region rule
    needs what is missing: refused once, not for each picture."""
    settings = gallery.settings
    path, made_by = gallery.store.path, gallery.store.manifest.fingerprint
    if remark := taken_for(path, made_by, settings.models):
        yield remark
    if stale := gallery.stale:
        again = renewal(path, gallery.calibration, asked=settings.identify)
        yield f"{path}: its calibration is out of date ({stale}); {again} renews it."
    asked = settings.identify.regions
    if "quad" in effective(rule(gallery.calibration, asked)).split("+"):
        need("cv2", "the region rule 'quad'")
    elif asked == "auto":
        yield "Regions auto: without quad, which needs the extra 'geometry'."


def elsewhere(models: Iterable[Standing]) -> Iterator[str]:
    """What is to be said of models that do not run where they were asked to; of those in memory,
    the others are not known before their first use."""
    return (f"{one.name}: {one.note}" for one in models if one.note)


def lost(settings: Settings) -> Iterator[str]:
    """What is to be said where the folder of references that is set is not there."""
    refs = settings.index.refs
    if refs and not Path(refs).exists():
        yield (
            f"index.refs: {refs} is not there; of references that it would hold the small copies "
            "of the index are shown."
        )


def named(settings: Settings, indexes: Sequence[str], *, needed: bool = True) -> dict[str, Path]:
    """Index files by the name of their gallery: the one given, else the file's.

    Where none is given and the usual one is not there, that is none at all, unless one is `needed`:
    IndexMissing. SettingError, also for one file under two names: each would hold it in memory, and
    what one of them writes would be news to the other.
    """
    found: dict[str, Path] = {}
    for word in indexes or _usual(settings, needed=needed):
        name, given, path = word.partition("=")
        if not given or Path(word).exists():
            name, path = Path(word).stem, word
        if not name or not path or name == "-" or "/" in name or not name.isprintable():
            raise SettingError("index", repr(word), expected="FILE or NAME=FILE")
        if name in found:
            raise SettingError(
                "index",
                f"two galleries are called {name}",
                expected="a name each",
                do=f"Name one of them: OTHER={path}",
            )
        for other, known in found.items():
            if _same(known, Path(path)):
                raise SettingError(
                    "index",
                    f"{other} and {name} are one file",
                    expected="a file each",
                    do=f"Leave one of them out: {word}",
                )
        found[name] = Path(path)
    return found


def _usual(settings: Settings, *, needed: bool) -> list[str]:
    try:
        return [str(default_path(settings))]
    except IndexMissing as error:
        if settings.index.path:
            raise
        if needed:
            do = f"{error.do}; `--surface analyze` needs none"
            raise IndexMissing(error.thing, error.found, do=do) from error
        return []


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, by a link too."""
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there, and is refused when it is opened
        return one.absolute() == other.absolute()
