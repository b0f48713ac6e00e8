"""Printed text of a picture, by RapidOCR (extra `ocr`): lines, each with how sure it is.

Its three networks (find lines, turn them upright, read them) lie in its own package and are named
here one by one. Left to itself it fetches what it misses; a file that is not there is an error.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle import _runtime, _threads
from kenspeckle._extras import need
from kenspeckle.errors import InputError, ModelMissing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

KIND = "text"
"""The kind under which an index keeps them."""

Line = tuple[str, float]
"""The text of a line and how sure it is, 0 … 1."""

SIDE = 800
"""Longest side, in pixels, at which a picture is read; it is never enlarged beyond twice."""
NARROW = SIDE // 4
"""A narrower picture is laid on a plain ground: the engine would enlarge it until this is its
shorter side, which for a strip of pixels takes more memory than there is."""
MOST = 32
"""Lines that are kept of one picture."""
GROUND = 127
LONGEST = 256
"""Characters that are kept of one line."""
FILES: Mapping[str, str] = MappingProxyType(
    {
        "Det": "PP-OCRv6_det_small.onnx",
        "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        "Rec": "PP-OCRv6_rec_small.onnx",
    }
)
"""Its networks by the part that they play there."""

_FORMAT = 1
_turn = threading.Lock()


def read(image: Image.Image) -> tuple[Line, ...]:
    """The lines of an RGB picture, from top to bottom as they were found.

    Raises MissingExtra, and ModelMissing where the installed package brings other networks.
    """
    engine = _engine()
    pixels = _laid_out(image)
    with _turn:  # the engine keeps what it was asked last
        found = engine(pixels)
    lines = zip(found.txts or (), found.scores or (), strict=True)
    return tuple((text[:LONGEST], round(float(sure), 4)) for text, sure in lines)[:MOST]


def to_bytes(lines: tuple[Line, ...]) -> bytes:
    """What an index keeps of a reference."""
    return json.dumps({"format": _FORMAT, "lines": lines}).encode()


def from_bytes(data: bytes) -> tuple[Line, ...]:
    """Read back what `to_bytes` wrote. Raises InputError on anything else."""
    try:
        held = json.loads(data)
        if held["format"] != _FORMAT or len(held["lines"]) > MOST:
            raise ValueError
        lines = tuple((text, sure) for text, sure in held["lines"])
        for text, sure in lines:
            if not isinstance(text, str) or len(text) > LONGEST or not 0 <= float(sure) <= 1:
                raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError("cached text", "damaged", expected="what this release wrote") from error
    return lines


def _laid_out(image: Image.Image) -> NDArray[np.uint8]:
    """The picture as the engine wants it: `(h, w, 3)`, blue first, of bounded size and shape."""
    factor = min(SIDE / max(image.size), 2.0)
    width, height = (max(1, round(edge * factor)) for edge in image.size)
    small = np.asarray(image.convert("RGB").resize((width, height), reducing_gap=2.0))
    pixels = np.full((max(height, NARROW), max(width, NARROW), 3), GROUND, np.uint8)
    pixels[:height, :width] = small[:, :, ::-1]
    return pixels


@cache
def _engine() -> Any:
    """The one engine of this process: its networks take a second to load and 150 MB."""
    with _turn:
        _runtime.silence()
        package = need("rapidocr", "reading printed text")
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        folder = Path(str(package.__file__)).parent / "models"
        for name in FILES.values():
            if not (folder / name).is_file():
                raise ModelMissing(
                    f"text reader {name}",
                    "not in the installed rapidocr",
                    do='Install the release that brings it: pip install "rapidocr==3.10.0"',
                )
        return package.RapidOCR(
            params={
                "Global.log_level": "critical",
                "Det.limit_type": "max",
                "Det.limit_side_len": SIDE,
                "Det.max_candidates": MOST,
                "Rec.rec_batch_num": 1,  # lines of one batch are padded to the longest
                "EngineConfig.onnxruntime.intra_op_num_threads": _threads.INTRA_OP,
                "EngineConfig.onnxruntime.inter_op_num_threads": _threads.INTRA_OP,
                **{f"{part}.model_path": str(folder / name) for part, name in FILES.items()},
            }
        )
