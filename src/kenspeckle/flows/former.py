"""An index that names no model: every `.npz` of the former system. Its width is all there is.

512 columns are CLIP ViT-B/32's, 256 those of a head behind it; of any other width nobody can tell.
It is never asked by a built-in model: a width that happens to agree says nothing about the space.
"""

from __future__ import annotations

from pathlib import Path

from kenspeckle.config import ModelSettings
from kenspeckle.engines.table import MODELS
from kenspeckle.errors import ModelMissing, SpaceMismatch
from kenspeckle.types import Fingerprint
from kenspeckle.vectors.base import Embedder, Opener
from kenspeckle.vectors.embed import open_embedder

BUILT_IN = frozenset(row.sha256 for row in MODELS if row.origin in ("embedded", "pack"))
"""Weights of the models that come with the package, in any form: the former system had neither."""

UNKNOWN = "unknown"
"""What the store calls the model of a width that tells of none."""

ANEW = "or index anew: kenspeckle index PICTURES --out FILE"


def taken_for(path: str, made_by: Fingerprint, models: ModelSettings) -> str:
    """Says what an index without a model name is taken for; empty where it or somebody names one.

    `models` are the settings as they are asked for.
    """
    if made_by.weights or models.name or made_by.model == UNKNOWN:
        return ""
    behind = " with a projection head" if made_by.head else ""
    return (
        f"{path} names no model; by its {made_by.width} columns it is taken for one of "
        f"{made_by.model}{behind}. Another is named by --model."
    )


def former_embedder(
    path: str, made_by: Fingerprint, models: ModelSettings, opener: Opener = open_embedder
) -> Embedder:
    """The embedder for an index that names no model.

    `made_by` is what its width tells, `models` what is asked for, with the name filled in. Raises
    SpaceMismatch (no model or head to be known by the width, another width, a built-in model) and
    ModelMissing; both say what the index holds and how to index anew.
    """
    columns = f"its {made_by.width} columns"
    if models.name == made_by.model == UNKNOWN:
        raise SpaceMismatch(
            Path(path),
            f"it names no model, and {columns} are those of none that is known",
            expected="the model that made it",
            do=f"Name it by --model, {ANEW}",
        )
    if made_by.head and not models.head:
        raise SpaceMismatch(
            Path(path),
            f"{columns} were made by a projection head behind {made_by.model}, and no head is "
            "given",
            expected="that head",
            do=f"Name it by --projection, {ANEW}",
        )
    try:
        embedder = opener(models)
    except ModelMissing as error:
        raise ModelMissing(
            Path(path),
            f"{columns} tell of {models.name}, which is {error.found}",
            expected="the model that made it",
            do=f"{error.do}, {ANEW}",
        ) from error
    asked = embedder.fingerprint
    if asked.weights in BUILT_IN or asked.width != made_by.width:
        embedder.close()
        known = "" if made_by.model == UNKNOWN else f" of {made_by.model}"
        raise SpaceMismatch(
            Path(path),
            f"it names no model and has {made_by.width} columns{known}, asked was {asked}",
            expected="the model that made it",
            do=f"Leave --model out or name that one, {ANEW} --model {asked.model}",
        )
    return embedder
