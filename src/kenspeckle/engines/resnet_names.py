"""A ResNet under the names of timm, loaded as transformers' own.

Checkpoints in the layout of `facebook/detr-resnet-50` name the weights of their trunk as timm does
and ask for that package. The networks are the same, so the names are translated instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEPTHS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
}
_BASIC = frozenset({"resnet18", "resnet34"})
_KINDS = frozenset({"detr", "conditional_detr", "table-transformer"})
TRUNK = r"backbone\.conv_encoder\.model\."


def without_timm(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `config.json` of a detector with its trunk as transformers' own; None where it has one.

    Of the kinds whose detectors read the last stage of a ResNet alone.
    """
    trunk, name = config.get("backbone_config") or {}, config.get("backbone")
    if isinstance(trunk, Mapping) and trunk.get("model_type") == "timm_backbone":
        name = trunk.get("backbone")
    elif trunk or not config.get("use_timm_backbone", True):
        return None
    name = str(name or "resnet50").partition(".")[0]
    dilated = config.get("dilation") or trunk.get("output_stride")
    if config.get("model_type") not in _KINDS or name not in _DEPTHS or dilated:
        return None
    basic = name in _BASIC
    wide = 1 if basic else 4
    own = {
        "model_type": "resnet",
        "depths": list(_DEPTHS[name]),
        "hidden_sizes": [side * wide for side in (64, 128, 256, 512)],
        "layer_type": "basic" if basic else "bottleneck",
        "out_features": ["stage4"],
    }
    left_out = {"backbone", "backbone_kwargs", "use_pretrained_backbone", "use_timm_backbone"}
    kept = {key: value for key, value in config.items() if key not in left_out}
    return {**kept, "backbone_config": own, "use_timm_backbone": False}


def renamed() -> dict[str, str]:
    """Patterns of timm's names of a trunk's weights → transformers' names.

    `layer2.0.conv1.weight` is `encoder.stages.1.layers.0.layer.0.convolution.weight`.
    """
    inside = "backbone.conv_encoder.model."
    names = {
        rf"{TRUNK}conv1\.": f"{inside}embedder.embedder.convolution.",
        rf"{TRUNK}bn1\.": f"{inside}embedder.embedder.normalization.",
    }
    for stage in range(4):
        old = rf"{TRUNK}layer{stage + 1}\.(\d+)\."
        new = rf"{inside}encoder.stages.{stage}.layers.\1."
        for part in range(3):
            names[rf"{old}conv{part + 1}\."] = f"{new}layer.{part}.convolution."
            names[rf"{old}bn{part + 1}\."] = f"{new}layer.{part}.normalization."
        names[rf"{old}downsample\.0\."] = f"{new}shortcut.convolution."
        names[rf"{old}downsample\.1\."] = f"{new}shortcut.normalization."
    return names
