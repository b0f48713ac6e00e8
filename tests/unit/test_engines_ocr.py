"""Printed text is read from the networks in the package, quietly and without a network."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest
from PIL import Image
from printed import packet

from kenspeckle import _extras
from kenspeckle.engines import ocr
from kenspeckle.errors import InputError, MissingExtra, ModelMissing

pytestmark = pytest.mark.slow

pytest.importorskip("rapidocr")

LABEL = packet(text="VANILLA YOGURT\nNo. 4417")


@pytest.fixture
def fresh():
    """The engine is opened anew, and again after the test."""
    ocr._engine.cache_clear()
    yield
    ocr._engine.cache_clear()


@pytest.mark.parametrize("turn", [0, 90, 180])
def test_text_is_read_however_it_lies(turn):
    lines = ocr.read(LABEL.rotate(turn, expand=True))
    assert sorted(text.replace(" ", "") for text, _ in lines) == ["No.4417", "VANILLAYOGURT"]
    assert all(sure > 0.85 for _, sure in lines)


def test_it_is_quiet_and_asks_no_network(fresh, monkeypatch, capfd):
    def refused(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert ocr.read(LABEL)
    assert ocr.read(Image.new("RGB", (200, 100))) == ()
    assert capfd.readouterr() == ("", "")


def test_another_release_is_told_and_not_fetched(fresh, monkeypatch):
    monkeypatch.setattr(ocr, "FILES", {"Det": "elsewhere.onnx"})
    with pytest.raises(ModelMissing, match=r"elsewhere\.onnx"):
        ocr.read(LABEL)


@pytest.mark.parametrize("size", [(1, 1), (1, 6000), (6000, 2), (9, 5)])
def test_odd_shapes_hold_nothing(size):
    assert ocr.read(Image.new("RGB", size, "white")) == ()


def test_noise_holds_nothing_that_would_count():
    noise = np.random.default_rng(1).integers(0, 256, (600, 800, 3), np.uint8)
    assert all(sure < 0.85 for _, sure in ocr.read(Image.fromarray(noise)))


def test_a_page_of_text_is_cut_off():
    page = packet(text="\n".join(f"line number {n}" for n in range(90)), size=(500, 4200))
    assert len(ocr.read(page)) <= ocr.MOST


def test_what_an_index_keeps_is_read_back():
    lines = (("Crème", 0.93), ("", 1.0))
    assert ocr.from_bytes(ocr.to_bytes(lines)) == lines


@pytest.mark.parametrize(
    "lines",
    [[["a"]], [[1, 0.5]], [["a", 2]], [["a", "b"]], [["a" * 300, 1]], [["a", 1]] * 99, None, [3]],
)
def test_damaged_ones_are_refused(lines):
    with pytest.raises(InputError, match="cached text"):
        ocr.from_bytes(json.dumps({"format": 1, "lines": lines}).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"format": 1, "lines": [["a", NaN]]}'])
def test_something_else_is_refused(data):
    with pytest.raises(InputError, match="cached text"):
        ocr.from_bytes(data)


def test_a_missing_extra_is_one_sentence(fresh, monkeypatch):
    def missing(name):
        raise ImportError(name=name)

    monkeypatch.setattr(_extras.importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"kenspeckle\[ocr\]"):
        ocr.read(LABEL)
