"""A ResNet under the names of timm, loaded as transformers' own.

Checkpoints in the layout of `facebook/detr-resnet-50` name the weights of their trunk as timm does
and ask for that package. The networks are the same, so the names are translated instead.
"""

from __future__ import annotations

from typing import Any

_DEPTHS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
}
_BASIC = frozenset({"resnet18", "resnet34"})
TRUNK = r"backbone\.conv_encoder\.model\."


def resnet_of(config: Any) -> str:
    """The ResNet that a configuration asks timm for, or empty."""
    trunk = getattr(config, "backbone_config", None)
    if getattr(trunk, "model_type", "") != "timm_backbone":
        return ""
    name = str(getattr(trunk, "backbone", "")).partition(".")[0]
    plain = not getattr(trunk, "output_stride", None)
    return name if name in _DEPTHS and plain else ""


def to_resnet(transformers: Any, config: Any) -> tuple[Any, dict[str, str]]:
    """The configuration of the same trunk without timm, and how its weights are renamed.

    Raises KeyError where `resnet_of` is empty.
    """
    name = resnet_of(config)
    basic = name in _BASIC
    wide = 1 if basic else 4
    trunk = transformers.ResNetConfig(
        depths=list(_DEPTHS[name]),
        hidden_sizes=[side * wide for side in (64, 128, 256, 512)],
        layer_type="basic" if basic else "bottleneck",
        out_features=["stage4"],
    )
    return trunk, renamed()


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
