"""Printed codes of a picture: retail bar codes (EAN-13, EAN-8, UPC-A) and QR codes, by OpenCV.

A bar code is a handful of digits with one check digit, so a texture passes for one now and then.
It therefore counts only where two of the tries below read the same; a QR code, which carries its
own error correction, counts at the first.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kenspeckle import _threads
from kenspeckle._extras import need
from kenspeckle.errors import InputError

KIND = "codes"
"""The kind under which an index keeps them."""
KINDS = ("ean13", "ean8", "qr")

Code = tuple[str, str]
"""Kind (`ean13`, `ean8`, `qr`) and text. A UPC-A is the EAN-13 that begins with a 0."""

SIDES = (1280, 960, 640, 400)
"""Longest sides, in pixels, at which a picture is read; it is never enlarged beyond twice.
Bars that fill the picture are found in small ones."""
TURNS = (0, 45)
"""Degrees by which a picture is turned. Codes are found upside-down and aslant alike, but OpenCV
misses some that lie quite straight."""
SECONDS = 5.0
"""No further try is begun after that long; all of them take about half a second on a free core."""
LONGEST = 1024
"""A text with more characters is passed over."""
MOST = 16
"""Codes that are kept of one picture."""
AGREE = 2
"""Tries that have to read the same bars."""
_FORMAT = 1

GROUND = 127
BILINEAR = Image.Resampling.BILINEAR

Grey = NDArray[np.uint8]


def read(image: Image.Image) -> tuple[Code, ...]:
    """The codes in an RGB picture, sorted; none where nothing can be read.

    Raises MissingExtra.
    """
    cv2 = need("cv2", "reading printed codes")
    cv2.setNumThreads(_threads.INTRA_OP)
    end = time.monotonic() + SECONDS
    found: set[Code] = set()
    bars: Counter[Code] = Counter()
    for grey in _tries(image):
        found.update(_squares(cv2, grey))
        bars.update(set(_bars(cv2, grey)))
        if time.monotonic() > end:
            break
    found.update(code for code, count in bars.items() if count >= AGREE)
    return tuple(sorted(found)[:MOST])


def _tries(image: Image.Image) -> Iterator[Grey]:
    """The picture in grey at a few sizes and turns."""
    for side in SIDES:
        factor = min(side / max(image.size), 2.0)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        small = image.convert("L").resize(size, reducing_gap=2.0)
        for turn in TURNS:
            turned = small.rotate(turn, BILINEAR, expand=True, fillcolor=GROUND) if turn else small
            yield np.asarray(turned)


def _squares(cv2: Any, grey: Grey) -> Iterator[Code]:
    """QR codes. OpenCV gives an empty text for one that it finds and cannot read."""
    try:
        _, texts, *_ = cv2.QRCodeDetector().detectAndDecodeBytesMulti(grey)
    except cv2.error:
        return
    for raw in texts:
        try:
            text = bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            continue
        if 0 < len(text) <= LONGEST:
            yield "qr", text


def _bars(cv2: Any, grey: Grey) -> Iterator[Code]:
    """Retail bar codes whose check digit holds."""
    try:
        _, texts, kinds, _ = cv2.barcode.BarcodeDetector().detectAndDecodeWithType(grey)
    except cv2.error:
        return
    for text, kind in zip(texts, kinds, strict=True):
        digits = text.zfill(13) if kind == "UPC_A" else text
        if checks(digits) and len(digits) in (8, 13):
            yield f"ean{len(digits)}", digits


def to_bytes(codes: tuple[Code, ...]) -> bytes:
    """What an index keeps of a reference."""
    return json.dumps({"format": _FORMAT, "codes": codes}).encode()


def from_bytes(data: bytes) -> tuple[Code, ...]:
    """Read back what `to_bytes` wrote. Raises InputError on anything else."""
    try:
        held = json.loads(data)
        if held["format"] != _FORMAT or len(held["codes"]) > MOST:
            raise ValueError
        codes = tuple((kind, text) for kind, text in held["codes"])
        for kind, text in codes:
            if kind not in KINDS or not isinstance(text, str) or not 0 < len(text) <= LONGEST:
                raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError("cached codes", "damaged", expected="what this release wrote") from error
    return codes


def checks(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (GS1 General Specifications, 7.9).

    From the right, digits count three times and once in turn; with the check digit they add up to a
    multiple of ten.

    >>> checks("4006381333931"), checks("4006381333937"), checks("96385074"), checks("")
    (True, False, True, False)
    """
    if not (digits.isascii() and digits.isdigit()):
        return False
    weights = (1, 3) * len(digits)
    return sum(int(d) * w for d, w in zip(reversed(digits), weights, strict=False)) % 10 == 0
