"""Where the files of a model are, and whether they are the ones they should be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kenspeckle.config import ModelSettings, user_folder
from kenspeckle.engines.table import ModelRow
from kenspeckle.errors import ModelMissing

WEIGHTS = Path(__file__).parent / "weights"
"""The folder of the models that this package carries."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Files of one model on this machine; `cohort` is None where it has none."""

    weights: Path
    sha256: str
    cohort: Path | None = None


def home(settings: ModelSettings) -> Path:
    """The folder that holds pulled and packed models, and the lock file."""
    return Path(settings.home).expanduser() if settings.home else user_folder("cache") / "models"


def file_sha256(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def locate(row: ModelRow, settings: ModelSettings) -> ModelFiles:
    """The files of a model on this machine, without reading them where their hash is known.

    Raises ModelMissing, with the command that brings the model.
    """
    if row.origin == "embedded":
        cohort = WEIGHTS / row.cohort if row.cohort else None
        return ModelFiles(WEIGHTS / row.source, row.sha256, cohort)
    path = Path(row.source) if row.origin == "local" else home(settings) / row.name / row.source
    if path.is_file():
        return ModelFiles(path, file_sha256(path))
    raise ModelMissing(
        row.name, "not on this machine", do=f"Run: kenspeckle models pull {row.name}"
    )
