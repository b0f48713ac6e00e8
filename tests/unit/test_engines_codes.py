"""Printed codes are read however they lie, and nothing else is taken for one."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from PIL import Image
from printed import GROUND, ean8, ean13, packet, qr

from kenspeckle import _extras
from kenspeckle.engines.codes import LONGEST, SECONDS, checks, from_bytes, read, to_bytes
from kenspeckle.errors import InputError, MissingExtra

pytestmark = pytest.mark.slow

pytest.importorskip("cv2")

EAN = ("ean13", "4006381333931")
QR = ("qr", "https://a.example/item/1")
BOTH = packet(ean13(EAN[1]), qr(QR[1]), size=(800, 600))


@pytest.mark.parametrize("turn", [0, 45, 90, 180, 270])
def test_codes_are_read_however_they_lie(turn):
    assert read(BOTH.rotate(turn, expand=True, fillcolor=GROUND)) == (EAN, QR)


@pytest.mark.parametrize("size", [(400, 300), (1600, 1200), (3200, 2400)])
def test_bars_are_read_in_small_and_large_pictures(size):
    assert read(packet(ean13(EAN[1])).resize(size)) == (EAN,)


def test_eight_digits_and_an_american_code():
    assert read(packet(ean8("96385074", 3))) == (("ean8", "96385074"),)
    assert read(packet(ean13("0036000291452"))) == (("ean13", "0036000291452"),)


def test_text_of_a_square_code_is_kept_as_it_is():
    assert read(packet(qr("größe: 3 €"))) == (("qr", "größe: 3 €"),)


def test_bars_whose_check_digit_is_wrong_are_no_code():
    assert read(packet(ean13("4006381333932"))) == ()


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 2), (7, 5)])
def test_odd_shapes_hold_nothing(size):
    assert read(Image.new("RGB", size)) == ()


def test_stripes_and_noise_are_no_code_and_take_bounded_time():
    rng = np.random.default_rng(3)
    stripes = np.repeat(rng.integers(0, 2, (1, 900, 1), np.uint8) * 255, 700, axis=0).repeat(3, 2)
    noise = rng.integers(0, 256, (1200, 1600, 3), np.uint8)
    start = time.thread_time()
    assert read(Image.fromarray(stripes)) == ()
    assert read(Image.fromarray(noise)) == ()
    assert time.thread_time() - start < 4 * SECONDS


def test_what_an_index_keeps_is_read_back():
    assert from_bytes(to_bytes((EAN, QR))) == (EAN, QR)
    assert from_bytes(to_bytes(())) == ()


@pytest.mark.parametrize(
    "codes",
    [
        [["ean13"]],
        [["pdf417", "4"]],
        [["qr", 4]],
        [["qr", ""]],
        [["qr", "a" * (LONGEST + 1)]],
        [["qr", "a"]] * 100,
        None,
        {"a": 1},
        [3],
        [[[], "a"]],
    ],
)
def test_damaged_ones_are_refused(codes):
    with pytest.raises(InputError, match="cached codes"):
        from_bytes(json.dumps({"format": 1, "codes": codes}).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"\xff", b"[" * 100_000, b'{"format": 2}'])
def test_something_else_is_refused(data):
    with pytest.raises(InputError, match="cached codes"):
        from_bytes(data)


def test_check_digits():
    for digits in ("4006381333931", "96385074", "0036000291452"):
        assert checks(digits)
        wrong = str((int(digits[-1]) + 1) % 10)
        assert not checks(digits[:-1] + wrong)
    assert not checks("")
    assert not checks("４")


def test_a_missing_extra_is_one_sentence(monkeypatch):
    def missing(name):
        raise ImportError(name=name)

    monkeypatch.setattr(_extras.importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"kenspeckle\[geometry\]"):
        read(BOTH)
