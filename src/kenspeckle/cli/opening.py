"""Opening a gallery for a command."""

from __future__ import annotations

from kenspeckle._extras import need
from kenspeckle.cli.console import note
from kenspeckle.config import Settings
from kenspeckle.flows.former import taken_for
from kenspeckle.flows.opened import rule
from kenspeckle.gallery import Gallery
from kenspeckle.regions.base import effective


def opened(settings: Settings, *, write: bool = False) -> Gallery:
    """The gallery that the settings name, ready to embed: its model is found and fits.

    An index that names no model (every `.npz` of the former system) is taken for one of the model
    that its width suggests, and that is said. Raises as `Gallery.open`, and SpaceMismatch,
    ModelError.
    """
    gallery = Gallery.open(settings=settings, write=write)
    try:
        made_by = gallery.store.manifest.fingerprint
        if remark := taken_for(gallery.store.path, made_by, settings.models):
            note(remark)
        check_regions(gallery, settings)
        gallery.embedder  # noqa: B018  refused here once, not for each picture
        device(gallery, settings)
    except BaseException:
        gallery.close()
        raise
    return gallery


def check_regions(gallery: Gallery, settings: Settings) -> None:
    """Refuse once, not for each picture, a region rule that this machine cannot follow.

    `auto` does without what is missing, and says so. Raises MissingExtra.
    """
    asked = settings.identify.regions
    parts = effective(rule(gallery.calibration, asked)).split("+")
    if "quad" in parts:
        need("cv2", "the region rule 'quad'")
    elif asked == "auto":
        note("Regions auto: without quad, which needs the extra 'geometry'.")


def device(gallery: Gallery, settings: Settings) -> str:
    """Where the model runs; a remark says why it is not where it was asked to.

    A model asked for on the CPU runs there, so it need not be loaded to know.
    """
    asked = settings.models.device
    if asked == "cpu":
        return asked
    if gallery.embedder.note:
        note(gallery.embedder.note)
    return gallery.embedder.device
