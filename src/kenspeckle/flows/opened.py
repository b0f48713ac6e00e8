"""What a flow needs of a gallery, and how it is come by."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from kenspeckle.config import USUAL_FPIR, IdentifySettings, Settings
from kenspeckle.errors import GalleryError, IndexMissing, SpaceMismatch
from kenspeckle.flows.former import former_embedder
from kenspeckle.flows.looks import Looks
from kenspeckle.regions.base import effective
from kenspeckle.store.base import Manifest, Standing, Store
from kenspeckle.store.place import missing
from kenspeckle.store.snapshot import Readable
from kenspeckle.types import Calibration, Fingerprint
from kenspeckle.vectors.base import Embedder, Opener
from kenspeckle.vectors.embed import open_embedder

DEFAULT_PATHS = ("gallery.ken", "card_index.npz")


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """A store or a snapshot of one, the embedder whose space it holds, the settings in force, and
    what a second look keeps of references."""

    store: Readable
    embedder: Embedder
    settings: Settings
    looks: Looks = field(default_factory=Looks, compare=False, repr=False)

    def asked(self, how: IdentifySettings | None) -> Self:
        """The same, asked in another way; None is the way of the settings."""
        if how is None:
            return self
        return replace(self, settings=replace(self.settings, identify=how))

    @property
    def made_by(self) -> Fingerprint:
        """What made the vectors of the store, and makes those of the embedder."""
        return self.store.manifest.fingerprint

    @property
    def regions(self) -> str:
        """The region rule: the one asked for, else the one calibrated for, else `whole`."""
        return rule(self.store.calibration(), self.settings.identify.regions)

    @property
    def fpir(self) -> float:
        """The false-positive rate asked for, else the one calibrated for, else the usual one."""
        calibration = self.store.calibration()
        return self.settings.identify.fpir or (calibration.fpir if calibration else USUAL_FPIR)


@dataclass(frozen=True, slots=True)
class Opened(ReadOnly):
    """The same with a store that others, or a flow itself, may change."""

    store: Store

    def still(self) -> ReadOnly:
        """It as it is now, for work that takes long: what is committed meanwhile does not show."""
        return ReadOnly(self.store.snapshot(), self.embedder, self.settings, self.looks)


def rule(calibration: Calibration | None, asked: str) -> str:
    """The region rule asked for; where none is, the one that the gallery is calibrated for."""
    return asked or (calibration.regions if calibration else "whole")


def stale(standing: Standing, manifest: Manifest, asked: IdentifySettings) -> str:
    """Why the calibration does not fit the gallery, or the region rule or rate asked for.

    Empty when it fits, and when there is none.
    """
    calibration = standing.calibration
    if calibration is None:
        return ""
    if calibration.space_id != manifest.fingerprint.space_id:
        return "it was fitted for another model"
    if calibration.feedback != standing.feedback:
        return "feedback was given since"
    if calibration.change != standing.change:
        return "references were added or removed since"
    return differs(calibration, asked)


def differs(calibration: Calibration, asked: IdentifySettings) -> str:
    """What is asked for that the calibration was not fitted for: regions, second look or rate.

    Empty when it was fitted for what is asked.
    """
    regions = effective(asked.regions) if asked.regions else calibration.regions
    if calibration.regions != regions:
        return f"it was fitted for regions {calibration.regions}, asked are {regions}"
    look = calibration.second_look.features if calibration.second_look else "off"
    if asked.second_look not in ("", look):
        return f"it was fitted with second look {look}, asked is {asked.second_look}"
    if asked.fpir not in (0, calibration.fpir):
        return f"it was fitted for FPIR {calibration.fpir:g}, asked is {asked.fpir:g}"
    return ""


def new_manifest(embedder: Embedder, settings: Settings) -> Manifest:
    """What a new gallery says of itself: its options are what has to be found again to use it."""
    name, head = settings.models.name, settings.models.head
    return Manifest(
        fingerprint=embedder.fingerprint,
        naming=settings.index.naming,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        options={
            "model": absolute(name) if name and Path(name).exists() else "",
            "head": absolute(head),
            "mode": settings.models.mode,
            "views": str(max(settings.index.views, 0)),
        },
    )


def with_views(store: Store, settings: Settings) -> Settings:
    """The settings with the number of views that a gallery enrols, the same for all references.

    Raises GalleryError when another number is asked for.
    """
    has, asked = int(store.manifest.options.get("views", "0")), settings.index.views
    if asked not in (-1, has) and len(store):
        raise GalleryError(
            Path(store.path),
            f"it was made with {has} views a reference, asked are {asked}",
            expected="the same",
            do="Leave --views out, or index into a new file",
        )
    return replace(settings, index=replace(settings.index, views=max(asked, has)))


def absolute(path: str | os.PathLike[str]) -> str:
    """The path from the root on, empty for none."""
    return os.path.abspath(path) if path else ""  # noqa: PTH100  it has to fold `..`, not links


def default_path(settings: Settings) -> Path:
    """The index meant when none is named. IndexMissing says how to make one."""
    names = (settings.index.path,) if settings.index.path else DEFAULT_PATHS
    for name in names:
        if Path(name).exists():
            return Path(name)
    if settings.index.path:
        raise missing(settings.index.path, "no such file here")
    raise IndexMissing(
        " or ".join(names), "no such file here", do="Make one: kenspeckle index PICTURES"
    )


def _told(one: Fingerprint, other: Fingerprint) -> str:
    """A fingerprint for people; where two read alike, with the parts of the recipe that differ."""
    if str(one) != str(other):
        return str(one)
    recipe, differing = asdict(one.recipe), asdict(other.recipe)
    parts = (f"{k} {recipe[k] or 'none'}" for k in recipe if recipe[k] != differing[k])
    return f"{one} with {', '.join(parts)}"


def matching_embedder(
    path: str, manifest: Manifest, settings: Settings, opener: Opener = open_embedder
) -> Embedder:
    """The embedder that made the vectors of the index `path`, opened by `opener`.

    Raises SpaceMismatch, which names both sides, and ModelError.
    """
    made_by = manifest.fingerprint
    models = replace(
        settings.models,
        name=settings.models.name or manifest.options.get("model") or made_by.model,
        head=settings.models.head or manifest.options.get("head", ""),
        mode=settings.models.mode or manifest.options.get("mode", ""),
    )
    if not made_by.weights:
        return former_embedder(path, made_by, models, opener)
    embedder = opener(models)
    asked = embedder.fingerprint
    if asked.space_id != made_by.space_id:
        embedder.close()
        raise SpaceMismatch(
            Path(path),
            f"its vectors were made by {_told(made_by, asked)}, asked was {_told(asked, made_by)}",
            expected="one and the same",
            do="Leave --model, --projection and the preprocessing mode out, or index into another "
            f"file: kenspeckle index PICTURES --out FILE --model {asked.model}",
        )
    return embedder
