"""Detectors of the DETR kin by transformers (extra `torch`): DETR, YOLOS, RT-DETR and others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle import _threads
from kenspeckle._extras import need
from kenspeckle.engines.boxes import Boxes
from kenspeckle.engines.frame import Frame, Size, bounded, planes, short_side, stretched
from kenspeckle.engines.recipes import read_json
from kenspeckle.engines.resnet_names import resnet_of, to_resnet
from kenspeckle.engines.torch_loading import described, device_of, network
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from PIL.Image import Image

SHORT, LONGEST = 800, 1333
"""Sides that DETR was trained at."""
MOST_SIDE = 2048
"""The longest side that a checkpoint may ask for, so that what a picture costs stays bounded."""


class TransformersDetector:
    """One loaded detector. See `BoxEngine`.

    Pictures are prepared as the `preprocessor_config.json` of the checkpoint says. No code of the
    checkpoint runs. Raises ModelError for a checkpoint that is no detector or not whole.
    """

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        self._torch = torch = need("torch", f"finding things with {folder.name}")
        transformers = need("transformers", f"finding things with {folder.name}")
        self._thing = str(folder)
        self.device = device_of(torch, device)
        if self.device == "cpu":
            torch.set_num_threads(_threads.INTRA_OP)
        config = described(transformers, folder, self._thing)
        renamed = None
        if resnet_of(config):
            config.backbone_config, renamed = to_resnet(transformers, config)
        self._network = network(
            transformers,
            "AutoModelForObjectDetection",
            folder,
            config,
            self._thing,
            renamed=renamed,
        ).to(self.device)
        self.names = _names(config.id2label)
        self._frame, self._mean, self._std = _preparation(folder)

    def detect(self, image: Image, least: float) -> Boxes:
        """See `BoxEngine`."""
        frame = self._frame(image.size)
        batch = planes(frame.picture(image), "RGB", self._mean, self._std)
        torch = self._torch
        with torch.inference_mode():
            try:
                answer = self._network(pixel_values=torch.from_numpy(batch).to(self.device))
                logits = answer.logits[0].to("cpu", torch.float32).numpy()
                boxes = answer.pred_boxes[0].to("cpu", torch.float32).numpy()
            except (RuntimeError, ValueError, AttributeError) as error:
                first = str(error).splitlines()[0]
                raise ModelError(self._thing, f"the network failed ({first})") from error
        return frame_boxes(logits, boxes, len(self.names), frame, least)


def frame_boxes(logits: Float32, boxes: Float32, kinds: int, frame: Frame, least: float) -> Boxes:
    """Boxes out of `logits` `(queries, kinds [+ 1])` and `boxes` `(queries, 4)`.

    A query says centre, width and height as fractions of the input. One column more than there are
    kinds is "nothing here" under a softmax (DETR, Carion et al. 2020); otherwise each kind has a
    sigmoid of its own (Deformable DETR and later).
    """
    if logits.shape[1] == kinds + 1:
        spread = np.exp(logits - logits.max(axis=1, keepdims=True))
        certain = (spread / spread.sum(axis=1, keepdims=True))[:, :-1]
    else:
        certain = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    found = certain.argmax(axis=1)
    scores = certain[np.arange(len(certain)), found]
    kept = np.flatnonzero((scores >= least) & np.isfinite(boxes).all(axis=1))
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    centres, half = boxes[kept, :2], boxes[kept, 2:] / 2
    corners = np.concatenate([centres - half, centres + half], axis=1)
    corners = (corners * np.array([*frame.size, *frame.size], np.float32)).astype(np.float32)
    return Boxes(frame.back(corners), scores[kept].astype(np.float32), found[kept].astype(np.int64))


def _names(id2label: Mapping[Any, str]) -> tuple[str, ...]:
    """What the kinds are called, in their order."""
    named = {int(number): str(name) for number, name in id2label.items()}
    return tuple(named.get(number, "") for number in range(max(named, default=-1) + 1))


Preparation = tuple[Callable[[Size], Frame], tuple[float, ...], tuple[float, ...]]


def _preparation(folder: Path) -> Preparation:
    """How pictures are laid into the input, and its mean and std in units of 0 … 255."""
    path = folder / "preprocessor_config.json"
    data = read_json(path)
    try:
        scale = float(data.get("rescale_factor", 1 / 255)) if data.get("do_rescale", True) else 1.0
        mean, std = [0.0] * 3, [1.0] * 3
        if data.get("do_normalize", True):
            mean = [float(value) for value in data.get("image_mean", (0.485, 0.456, 0.406))]
            std = [float(value) for value in data.get("image_std", (0.229, 0.224, 0.225))]
        if len(mean) != 3 or len(std) != 3 or not min(std) > 0 or not scale > 0:
            raise ValueError("mean and std are three numbers, std above 0")
        frame = _framed(data.get("size", SHORT), data.get("max_size", LONGEST))
    except (TypeError, ValueError, KeyError, ArithmeticError) as error:
        raise ModelError(str(path), f"{type(error).__name__}: {error}", expected="sizes") from error
    return frame, tuple(v / scale for v in mean), tuple(v / scale for v in std)


def _framed(size: Any, longest: Any) -> Callable[[Size], Frame]:
    """The frame of a processor's `size`: a short side with a longest one, or a square."""
    if not isinstance(size, dict):
        size = {"shortest_edge": size, "longest_edge": longest}
    sides = {name: int(value) for name, value in size.items() if value is not None}
    if any(not 1 <= side <= MOST_SIDE for side in sides.values()):
        raise ValueError(f"sides {sides}, of 1 to {MOST_SIDE}")
    if "shortest_edge" in sides:
        short, most = sides["shortest_edge"], sides.get("longest_edge", LONGEST)
        return lambda source: short_side(source, short, most)
    if "max_height" in sides:
        most = min(sides["max_height"], sides["max_width"])
        return lambda source: bounded(source, most, enlarge=True)
    if sides["height"] != sides["width"]:
        raise ValueError(f"{sides['width']} × {sides['height']} pixels, no square")
    side = sides["height"]
    return lambda source: stretched(source, side)
