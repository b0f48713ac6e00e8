"""Detectors of the DETR kin by transformers (extra `torch`): DETR, YOLOS, RT-DETR and others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kenspeckle import _threads
from kenspeckle._extras import need
from kenspeckle.engines.boxes import Boxes, from_logits, kind_names
from kenspeckle.engines.frame import Frame, Size, bounded, planes, short_side, stretched
from kenspeckle.engines.recipes import read_json
from kenspeckle.engines.resnet_names import renamed, without_timm
from kenspeckle.engines.torch_loading import described, device_of, network
from kenspeckle.errors import ModelError

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
        self._thing = folder
        self.device = device_of(torch, device)
        if self.device == "cpu":
            torch.set_num_threads(_threads.INTRA_OP)
        own = without_timm(read_json(folder / "config.json"))
        config = described(transformers, folder, self._thing, own)
        self._network = network(
            transformers,
            "AutoModelForObjectDetection",
            folder,
            config,
            self._thing,
            renamed=renamed() if own else None,
        ).to(self.device)
        self.names = kind_names(config.id2label)
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
        found = from_logits(logits, boxes, len(self.names), frame.size, least)
        return replace(found, corners=frame.back(found.corners))


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
        raise ModelError(path, f"{type(error).__name__}: {error}", expected="sizes") from error
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
