"""Codes and text drawn for tests: what a packet has printed on it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GROUND = (214, 190, 150)
LEFT_ODD = (
    *("0001101", "0011001", "0010011", "0111101", "0100011"),
    *("0110001", "0101111", "0111011", "0110111", "0001011"),
)
PARITY = (
    *("LLLLLL", "LLGLGG", "LLGGLG", "LLGGGL", "LGLLGG"),
    *("LGGLLG", "LGGGLL", "LGLGLG", "LGLGGL", "LGGLGL"),
)


def _right(digit: str) -> str:
    return LEFT_ODD[int(digit)].translate(str.maketrans("01", "10"))


def _painted(bits: str, module: int) -> Image.Image:
    """Bars for a row of bits, with the quiet zone on both sides."""
    row = np.array([255 * (bit == "0") for bit in "0" * 11 + bits + "0" * 11], np.uint8)
    bars = np.pad(np.tile(row.repeat(module), (34 * module, 1)), ((12, 12), (0, 0)), "edge")
    bars[:12] = bars[-12:] = 255
    return Image.fromarray(bars).convert("RGB")


def ean13(digits: str, module: int = 2) -> Image.Image:
    """An EAN-13 as GS1 draws it (General Specifications, 5.2.1)."""
    left = "".join(
        LEFT_ODD[int(digit)] if side == "L" else _right(digit)[::-1]
        for digit, side in zip(digits[1:7], PARITY[int(digits[0])], strict=True)
    )
    return _painted(f"101{left}01010{''.join(map(_right, digits[7:]))}101", module)


def ean8(digits: str, module: int = 2) -> Image.Image:
    """An EAN-8."""
    left = "".join(LEFT_ODD[int(digit)] for digit in digits[:4])
    return _painted(f"101{left}01010{''.join(map(_right, digits[4:]))}101", module)


def qr(text: str, module: int = 5) -> Image.Image:
    """A QR code, its quiet zone included."""
    import cv2

    bits = cv2.QRCodeEncoder.create().encode(text)
    size = (bits.shape[1] * module, bits.shape[0] * module)
    return Image.fromarray(bits).convert("RGB").resize(size, Image.Resampling.NEAREST)


def packet(
    *stuck: Image.Image,
    text: str = "",
    size: tuple[int, int] = (640, 480),
    ground: tuple[int, int, int] = GROUND,
) -> Image.Image:
    """A plain packet with lines of text on top and labels stuck on below, side by side."""
    image = Image.new("RGB", size, ground)
    ImageDraw.Draw(image).text((24, 20), text, "black", ImageFont.load_default(36))
    x = 24
    for label in stuck:
        image.paste(label, (x, size[1] - label.height - 24))
        x += label.width + 24
    return image
