"""The one table of models: name → where it comes from, its checksum, licence, width and recipe."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kenspeckle.errors import ModelError, ModelMissing
from kenspeckle.types import Recipe

Kind = Literal["onnx", "torch", "dummy"]
Origin = Literal["embedded", "pack", "hub", "local", "made"]
Task = Literal["", "features", "boxes", "captions"]

LITE_MEAN, LITE_STD = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model.

    kind
        What runs it: ONNX Runtime, torch, or plain numpy (`dummy`).
    origin
        `embedded` in this package; by `pack` only; from a `hub`; a `local` file or folder;
        `made` without weights.
    source
        File name of an embedded or packed model, `org/name` on a hub, absolute path of a
        local one.
    sha256
        Of the weights file. Empty where nobody has seen the file yet (hub rows: the first pull
        records it in the lock file; local files: computed when they are opened).
    width
        Columns of a vector, 0 where only the file can tell.
    recipe
        Preprocessing, None where it is read from the files of the model.
    build
        What the `config.json` of a hub's checkpoint says of its network, as
        `kenspeckle.engines.build` writes it; empty where nobody has said.
    task
        What it makes of a picture: features for a vector, boxes of things, captions. Empty where
        only its files can tell.
    """

    name: str
    kind: Kind
    origin: Origin
    source: str = ""
    sha256: str = ""
    bytes: int = 0
    width: int = 0
    recipe: Recipe | None = None
    licence: str = ""
    cohort: str = ""
    cohort_sha256: str = ""
    cohort_keys: tuple[str, str] = ("vectors", "scale")
    card: str = ""
    note: str = ""
    build: str = ""
    task: Task = "features"


_LITE_288 = Recipe(288, mean=LITE_MEAN, std=LITE_STD)
_LITE_224 = Recipe(224, mean=LITE_MEAN, std=LITE_STD)
_COHORT = "37f90e1553a60cd3a6bec76d07fd2b4a2fbf6010788f993c4956997e6f3e7f2d"


NEEDS_PULL = "needs the extra torch, and to be pulled"


def _hub(name: str, source: str, width: int, licence: str, build: str = "") -> ModelRow:
    """A checkpoint of a hub that makes features, with the licence that its publisher states."""
    return ModelRow(
        name, "torch", "hub", source, width=width, licence=licence, note=NEEDS_PULL, build=build
    )


def _hub_for(task: Task, name: str, source: str, licence: str, about: str) -> ModelRow:
    """A checkpoint of a hub for another task."""
    note = f"{about}; {NEEDS_PULL}"
    return ModelRow(name, "torch", "hub", source, licence=licence, note=note, task=task)


MODELS: tuple[ModelRow, ...] = (
    ModelRow(
        "efflite0-288-gem-w384",
        "onnx",
        "embedded",
        "efflite0-288-gem-w384-int8.onnx",
        "e1ac65b7143a2b8d1ab0ee038e0eb18e821aa5fbd825562b8c3085c1e5e93914",
        4_329_577,
        384,
        _LITE_288,
        "Apache-2.0",
        cohort="cohort.npz",
        cohort_sha256=_COHORT,
        card="efflite0-288-gem-w384.md",
        note="the default",
    ),
    ModelRow(
        "efflite0-gem-w384",
        "onnx",
        "embedded",
        "efflite0-gem-w384-int8.onnx",
        "a91d59dd9abc56c928939f82b487dcee0c8a3c02415b62001182c54b129d1e4c",
        4_329_559,
        384,
        _LITE_224,
        "Apache-2.0",
        card="efflite0-gem-w384.md",
        note="0.6 of the default's time; has no cohort, so no promise about general strangers",
    ),
    ModelRow(
        "efflite0-288-gem-w384-fp32",
        "onnx",
        "pack",
        "efflite0-288-gem-w384-fp32.onnx",
        "bb21639eba20084ff964259835af5483cc3dd970245301de6403b7424061415c",
        12_799_592,
        384,
        _LITE_288,
        "Apache-2.0",
        cohort="cohort.npz",
        cohort_sha256=_COHORT,
        cohort_keys=("vectors_fp32", "scale_fp32"),
        card="efflite0-288-gem-w384.md",
        note="the default before quantisation; a space of its own",
    ),
    ModelRow(
        "efflite0-gem-w384-fp32",
        "onnx",
        "pack",
        "efflite0-gem-w384-fp32.onnx",
        "637592da49b405932f3f14cde6645a6cbda32cb9ceec50906c96a3947904ff62",
        12_799_592,
        384,
        _LITE_224,
        "Apache-2.0",
        card="efflite0-gem-w384.md",
        note="the fast form before quantisation; has no cohort",
    ),
    _hub(
        "clip-vit-b-32",
        "openai/clip-vit-base-patch32",
        512,
        "MIT",
        "clip: layers 12, patch 32, side 224, width 512, words 49408",
    ),
    _hub(
        "clip-vit-l-14",
        "openai/clip-vit-large-patch14",
        768,
        "MIT",
        "clip: layers 24, patch 14, side 224, width 768, words 49408",
    ),
    _hub(
        "clip-vit-l-14-336",
        "openai/clip-vit-large-patch14-336",
        768,
        "MIT",
        "clip: layers 24, patch 14, side 336, width 768, words 49408",
    ),
    _hub(
        "dinov2-small",
        "facebook/dinov2-small",
        384,
        "Apache-2.0",
        "dinov2: layers 12, patch 14, side 518, width 384",
    ),
    _hub(
        "dinov2-base",
        "facebook/dinov2-base",
        768,
        "Apache-2.0",
        "dinov2: layers 12, patch 14, side 518, width 768",
    ),
    _hub(
        "dinov2-large",
        "facebook/dinov2-large",
        1024,
        "Apache-2.0",
        "dinov2: layers 24, patch 14, side 518, width 1024",
    ),
    _hub(
        "siglip-base",
        "google/siglip-base-patch16-224",
        768,
        "Apache-2.0",
        "siglip: layers 12, patch 16, side 224, width 768, words 32000",
    ),
    _hub(
        "siglip2-base",
        "google/siglip2-base-patch16-224",
        768,
        "Apache-2.0",
        "siglip: layers 12, patch 16, side 224, width 768, words 256000",
    ),
    _hub(
        "fashion-clip",
        "patrickjohncyh/fashion-clip",
        512,
        "MIT",
        "clip: layers 12, patch 32, side 224, width 512, words 49408",
    ),
    ModelRow(
        "dummy",
        "dummy",
        "made",
        width=192,
        recipe=Recipe(64, resample="bilinear"),
        note="a hash of colours and edges, for tests and for trying things out",
    ),
    ModelRow(
        "yunet",
        "onnx",
        "embedded",
        "yunet_n_dynamic.onnx",
        "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
        322_906,
        licence="Apache-2.0",
        card="yunet.md",
        note="finds faces",
        task="boxes",
    ),
    _hub_for(
        "boxes",
        "detr-resnet-50",
        "facebook/detr-resnet-50",
        "Apache-2.0",
        "finds 80 kinds of things",
    ),
    _hub_for(
        "captions",
        "blip-large",
        "Salesforce/blip-image-captioning-large",
        "BSD-3-Clause",
        "captions",
    ),
    _hub_for(
        "captions", "blip-base", "Salesforce/blip-image-captioning-base", "BSD-3-Clause", "captions"
    ),
)
"""Every model that has a name. One row each; adding a model is adding a row."""

ALIASES: dict[str, str] = {
    "default": "efflite0-288-gem-w384",
    "fast": "efflite0-gem-w384",
    "efflite0-288-gem-w384-int8": "efflite0-288-gem-w384",
    "efflite0-gem-w384-int8": "efflite0-gem-w384",
    "vit-b/32": "clip-vit-b-32",
    "vit-l/14": "clip-vit-l-14",
    "vit-l/14@336px": "clip-vit-l-14-336",
    "clip": "clip-vit-l-14",
    "dinov2": "dinov2-base",
    "siglip": "siglip-base",
    "detr": "detr-resnet-50",
    "blip": "blip-large",
}
"""Names that users of other programs write, in lower case. Sources of hub rows are names too."""

REFUSED: dict[str, str] = {
    "rn50x16": "a convolutional CLIP, for which there is no loader",
}

_HERE = ("./", "../", ".\\", "..\\")
"""What no name begins with."""

_ROWS = {row.name: row for row in MODELS}
_SOURCES = {row.source.lower(): row for row in MODELS if row.origin == "hub"}


def find(name: str) -> ModelRow:
    """The row of a model by its name, an alias, a path, or `org/name` on a hub; empty: the default.

    A path is an ONNX file or the folder of a checkpoint; the row's `source` is that path made
    absolute, which finds the same model from any folder. Raises ModelError for a name that nobody
    knows (near names are listed) and for a model that cannot be loaded (with the reason),
    ModelMissing for a path where nothing is: an absolute one, or one that begins with a dot.

    >>> find("default").name, find("ViT-B/32").name
    ('efflite0-288-gem-w384', 'clip-vit-b-32')
    """
    key = name.strip().lower() or "default"
    row = _ROWS.get(ALIASES.get(key, key)) or _SOURCES.get(key)
    if row is not None:
        return row
    if key in REFUSED:
        raise ModelError(name, REFUSED[key], expected="a ViT form such as clip-vit-b-32")
    named = Path(name.strip()).expanduser()
    path = named.absolute()
    if path.suffix.lower() == ".onnx":
        return ModelRow(path.stem, "onnx", "local", str(path), task="")
    if path.is_dir():
        return _folder(path)
    if named.is_absolute() or name.strip().startswith(_HERE):
        raise ModelMissing(
            str(path), "no such file or folder", expected="an .onnx file or a checkpoint"
        )
    if _is_hub_name(name):
        return ModelRow(name, "torch", "hub", name, note=NEEDS_PULL, task="")
    near = difflib.get_close_matches(key, [*_ROWS, *ALIASES], n=3, cutoff=0.5)
    raise ModelError(
        name,
        "no model has this name",
        expected=" or ".join(near) if near else "a name of `kenspeckle models list`",
        do="A path to an .onnx file, a checkpoint's folder or org/name of a hub will do as well",
    )


def _folder(path: Path) -> ModelRow:
    if (path / "config.json").is_file():
        return ModelRow(path.name, "torch", "local", str(path), task="")
    files = sorted(path.glob("*.onnx"))
    if len(files) == 1:
        return ModelRow(path.name, "onnx", "local", str(files[0]), task="")
    found = f"{len(files)} .onnx files" if files else "neither config.json nor an .onnx file"
    raise ModelError(str(path), found, expected="a checkpoint's folder, or one .onnx file")


def _is_hub_name(name: str) -> bool:
    parts = name.split("/")
    words = all(
        part
        and part not in (".", "..")
        and part.replace("-", "").replace("_", "").replace(".", "").isalnum()
        for part in parts
    )
    return len(parts) == 2 and words
