"""The rows of docs/how-to/switch.md: what each old command and route is here, is run."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from labelled import picture, voc
from PIL import Image
from serving import command as serve

from kenspeckle.adapters.sites import table

if TYPE_CHECKING:
    from commands import Command

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "switch.md"
SECTIONS = ("data_label_factory.identify", "the logo test bench", "image_embed")
Draw = Callable[..., Image.Image]


def rows(section: str) -> list[str]:
    """What stands in the second column of a section's table, in order."""
    text = PAGE.read_text(encoding="utf-8")
    part = re.split(r"^## From ", text, flags=re.M)[1:][SECTIONS.index(section)]
    cells = re.findall(r"^\|(?!-)[^|]*\| `([^`]+)` \|$", part, re.M)
    lines = [line for line in part.splitlines() if line.startswith("|")]
    assert len(cells) == len(lines) - 2, "each row names one thing to run"
    return cells


def test_every_section_is_run() -> None:
    headings = re.findall(r"^## From `?([^`\n]+)`?$", PAGE.read_text(encoding="utf-8"), re.M)
    assert headings == list(SECTIONS)


@contextlib.contextmanager
def served(row: str, folder: Path, **env: str) -> Iterator[str]:
    """What a row with `kenspeckle serve` starts; its address. It asks nobody for a rate."""
    with serve(shlex.split(row)[2:], folder, KENSPECKLE_SERVE_FX_FEED="", **env) as (base, _):
        yield base


@pytest.fixture
def price_site(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The usual price site, on loopback; the paths that it was asked for."""
    asked: list[str] = []

    class Shop(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = '<p title="LOCH-JP001 N 竜">1,234 円</p>'.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Shop) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        here = replace(table.find_site("yuyu-tei"), address=lambda prefix: f"{base}/{prefix}")
        monkeypatch.setattr(table, "SITES", (here,))
        monkeypatch.setenv("KENSPECKLE_IMAGE_FETCH_PRIVATE", "yes")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield asked
        server.shutdown()
        thread.join()


def answered(base: str, row: str, photo: Path) -> None:
    """Ask what a row with a verb and a path says; it must be answered, and with a body."""
    import httpx2

    verb, _, path = row.partition(" ")
    tasks = '[{"operation_id": "a", "type": "detect_bounding_box"}]'
    forms = {
        "/api/falcon": {"data": {"query": "card"}, "files": {"image": photo.read_bytes()}},
        "/analyze_image_upload/": {
            "data": {"tasks_json": tasks},
            "files": {"image_file": photo.read_bytes()},
        },
        "/analyze_image/": {
            "json": {
                "image_url": "http://127.0.0.1:1/a.jpg",
                "tasks": [{"operation_id": "a", "type": "embed_dino_v2"}],
            }
        },
    }
    with httpx2.Client(base_url=base, timeout=90) as client:
        answer = client.request(verb, path, **forms.get(path, {}))  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    assert answer.content


@pytest.mark.slow
def test_identify(command: Command, drawn: Draw, tmp_path: Path, price_site: list[str]) -> None:
    refs = tmp_path / "refs"
    refs.mkdir()
    for number, name in enumerate([*"abcdefghijklmnopqrst", "LOCH-JP001_u"]):
        drawn(number).save(refs / f"{name}.png")
    ended = contextlib.ExitStack()
    base = ""
    with ended:
        for row in rows("data_label_factory.identify"):
            if row.startswith("kenspeckle serve"):
                ended.close()
                base = ended.enter_context(served(row, tmp_path))
            elif row.startswith("kenspeckle "):
                command(*shlex.split(row)[1:])
            else:
                answered(base, row, refs / "a.png")
    assert price_site == ["/LOCH-JP"]
    written = json.loads((tmp_path / "card_prices.json").read_text(encoding="utf-8"))
    assert written["prices"]["LOCH-JP001"]["median"] == 1234


@pytest.mark.slow
def test_the_logo_test_bench(command: Command, tmp_path: Path) -> None:
    """Brands enough that ten can be drawn and others are left as strangers."""
    data = tmp_path / "LogoDet-3K"
    for number in range(12):
        folder = data / "Clothes" / f"Brand{number}"
        for shot in range(8):
            picture(folder / f"{shot}.jpg", (64, 48), seed=100 * number + shot)
            voc(folder / f"{shot}.xml", (f"Brand{number}", (2 + shot, 2, 40 + shot, 40)))
    for row in rows("the logo test bench"):
        command(*shlex.split(row)[1:])


@pytest.mark.slow
def test_image_embed(command: Command, drawn: Draw, tmp_path: Path) -> None:
    """The captions are those of a network of a few layers that never falls silent."""
    torch = pytest.importorskip("torch")
    from checkpoints import blip

    network, _ = blip(tmp_path / "captioner")
    with torch.no_grad():
        network.text_decoder.cls.predictions.bias[:6] = -100.0  # what are no words
    network.save_pretrained(tmp_path / "captioner")
    quiet = {"KENSPECKLE_ANALYZE_CAPTION": str(tmp_path / "captioner"), "PYTHONWARNINGS": "ignore"}
    refs = things(drawn, tmp_path)
    start, *others = rows("image_embed")
    with served(start, tmp_path, **quiet) as base:
        for row in others:
            if row.startswith("kenspeckle caption"):
                told = command(*caption(row, base))
                assert "12 captioned, 0 skipped, 0 failed" in told.err
                assert all(one.with_suffix(".txt").read_text() for one in refs.glob("*.jpg"))
            else:
                answered(base, row, refs / "a.jpg")


@pytest.mark.slow
def test_image_embed_without_a_model_for_captions(
    command: Command, drawn: Draw, tmp_path: Path
) -> None:
    refs = things(drawn, tmp_path)
    start, *others = rows("image_embed")
    with served(start, tmp_path) as base:
        (row,) = (row for row in others if row.startswith("kenspeckle caption"))
        told = command(*caption(row, base), code=1)
    assert "models pull" in told.err
    assert not list(refs.glob("*.txt"))


def things(drawn: Draw, folder: Path) -> Path:
    """A folder of twelve pictures; the former service knew no index, and none is made."""
    refs = folder / "refs"
    refs.mkdir()
    for number, name in enumerate("abcdefghijkl"):
        drawn(number).save(refs / f"{name}.jpg")
    return refs


def caption(row: str, base: str) -> list[str]:
    """The words of the row that asks a server for captions."""
    return shlex.split(row.replace("http://127.0.0.1:8000", base))[1:]
