"""What network a checkpoint holds, by its `config.json`, and whether it is the one asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kenspeckle.engines.recipes import read_json
from kenspeckle.engines.table import ModelRow
from kenspeckle.errors import ModelError

_USUAL: dict[str, dict[str, int]] = {
    "clip": {"layers": 12, "patch": 32, "side": 224, "width": 512, "words": 49408},
    "siglip": {"layers": 12, "patch": 16, "side": 224, "width": 768, "words": 32000},
    "dinov2": {"layers": 12, "patch": 14, "side": 224, "width": 768},
}
"""What a description leaves out because it is the usual value of its kind."""


def build(folder: Path) -> str:
    """The kind of network and its measures: `clip: layers 12, patch 32, side 224, …`.

    Raises ModelError when `config.json` cannot be read.
    """
    config = read_json(folder / "config.json")
    vision, text = _object(config, "vision_config"), _object(config, "text_config")
    kind = str(config.get("model_type", "unknown")).removesuffix("_vision_model")
    tower = vision or config
    said = {
        "layers": tower.get("num_hidden_layers"),
        "patch": tower.get("patch_size"),
        "side": tower.get("image_size"),
        "width": config.get("projection_dim") if kind == "clip" else tower.get("hidden_size"),
        "words": text.get("vocab_size"),
    }
    known = _USUAL.get(kind, {}) | {name: value for name, value in said.items() if value}
    return f"{kind}: " + ", ".join(f"{name} {known[name]}" for name in said if name in known)


def check_build(folder: Path, row: ModelRow) -> None:
    """Refuse a folder that holds another model than the one asked for. ModelError names both."""
    held = build(folder)
    if not row.build:
        raise ModelError(
            folder,
            f"it holds {held}; whether that is {row.name}, nobody here can tell",
            expected="a model of `kenspeckle models list`",
            do=f"Name the folder itself: --model {folder}",
        )
    if held != row.build:
        raise ModelError(
            folder,
            f"it holds {held}",
            expected=f"{row.name}, which is {row.build}",
            do=f"Name the folder itself, --model {folder}, or unset models.folder",
        )


def _object(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}
