"""The generated logo scenes: the same bytes for a seed, true boxes, halves apart."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from labelled import picture
from PIL import Image, ImageDraw

from kenspeckle.evaluate.datasets import read
from kenspeckle.evaluate.protocols import Plan, draws

pytestmark = pytest.mark.slow

pytest.importorskip("cv2")
ROOT = Path(__file__).parents[2]
STYLES = ("ref", "devicon", "vscode-icons", "simple-icons")


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT)
    module = importlib.import_module("benchmarks._logo_scenes")
    monkeypatch.setattr(module, "WITHOUT", 2)
    return module


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six marks in four drawings each, and a few photographs, none of them real."""
    root = tmp_path_factory.mktemp("assets")
    for style in STYLES:
        for label in range(6):
            path = root / "data/logos/images" / style / f"mark{label}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.new("RGB", (224, 224), "white")
            draw = ImageDraw.Draw(image)
            draw.regular_polygon((112, 112, 90), 3 + label, fill=(40 * label, 0, 200))
            image.save(path)
    for number in range(6):
        picture(root / f"data/grocery/images/query/a/{number}.jpg", (200, 200), number)
    return root


def test_a_seed_makes_the_same_bytes_and_another_does_not(
    scenes: ModuleType, assets: Path, tmp_path: Path
) -> None:
    counts = {"fit": 2, "unseen": 1}
    one, two, other = (
        scenes.make(assets, tmp_path / name, seed=seed, scenes=counts)
        for name, seed in (("1", 7), ("2", 7), ("3", 8))
    )
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert [p for p in files if (one / p).read_bytes() != (two / p).read_bytes()] == []
    assert any((one / p).read_bytes() != (other / p).read_bytes() for p in files if p.suffix)
    before = (one / "fit.csv").stat().st_mtime_ns
    scenes.make(assets, one, seed=7, scenes=counts)
    assert (one / "fit.csv").stat().st_mtime_ns == before


def test_the_tables_are_read_and_share_no_logo(
    scenes: ModuleType, assets: Path, tmp_path: Path
) -> None:
    out = scenes.make(assets, tmp_path, scenes={"fit": 2, "seen": 1, "unseen": 2})
    fit, seen, unseen = (read(out / f"{name}.csv") for name in ("fit", "seen", "unseen"))
    assert not fit.excluded + seen.excluded + unseen.excluded
    assert fit.items == seen.items
    assert not set(fit.items) & set(unseen.items)
    assert len(fit.items) == len(unseen.items) == 3
    assert not {q.path for q in fit.queries} & {q.path for q in seen.queries}
    assert all(len(query.boxes) >= 1 for query in fit.queries)
    (draw,) = draws(fit, 1, plan=Plan(fitting=0, strangers=0.5))
    assert not draw.excluded


def test_a_mark_is_where_its_box_says(scenes: ModuleType, assets: Path, tmp_path: Path) -> None:
    """The marks are dark blue to violet, the photographs noise: blue leads inside of a box."""
    out = scenes.make(assets, tmp_path, scenes={"fit": 2})
    with (out / "fit.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["role"] == "query" and "mark" in r["label"]]
    assert len(rows) == 6
    assert {row["enrolled"] for row in rows} == {"0", "1"}
    for row in rows:
        x0, y0, x1, y1 = map(int, row["box"].split())
        with Image.open(out / row["path"]) as image:
            pixels = np.asarray(image, np.float64)
        lead = pixels[..., 2] - pixels[..., 1]
        inside = lead[y0:y1, x0:x1].mean()
        outside = lead.copy()
        outside[y0:y1, x0:x1] = np.nan
        assert inside > np.nanmean(outside) + 15
