"""Sweeps: the grids of the bench, draws that hold still, rows that are never made twice."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kenspeckle.config import ModelSettings
from kenspeckle.errors import (
    CatalogError,
    GalleryError,
    IndexBusy,
    InputError,
    ModelError,
    SettingError,
)
from kenspeckle.evaluate.asking import Gallery, Query
from kenspeckle.evaluate.cache import VectorCache
from kenspeckle.evaluate.counting import by_photo
from kenspeckle.evaluate.datasets import Dataset, Sample, Truth
from kenspeckle.evaluate.sweep.counts import best, difference, interval
from kenspeckle.evaluate.sweep.draw import draw
from kenspeckle.evaluate.sweep.fit import best_threshold
from kenspeckle.evaluate.sweep.grid import PRESETS, Cell, Sampling, axis, cells, methods, with_axes
from kenspeckle.evaluate.sweep.ledger import Ledger
from kenspeckle.evaluate.sweep.run import Sweep, run
from kenspeckle.match.methods import Rule
from kenspeckle.types import Region

pytestmark = pytest.mark.slow

DUMMY = ModelSettings("dummy")
PAGE = 120


def tile(item: int, shift: int = 0) -> Image.Image:
    """A pattern that only this item has, moved a little."""
    rng = np.random.default_rng(item)
    coarse = rng.integers(0, 256, (5, 5, 3), np.uint8)
    noise = np.random.default_rng((item, shift)).integers(0, 40, (5, 5, 3), np.uint8)
    pixels = np.clip(coarse.astype(int) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((48, 48), Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Twelve items, nine pages each; every page shows its item and, half the time, another."""
    folder = tmp_path_factory.mktemp("pages")
    references, queries = [], []
    for item in range(12):
        for number in range(9):
            page = Image.new("RGB", (PAGE, PAGE), (20 * number, 90, 200))
            page.paste(tile(item, number), (5, 5))
            truths = [Truth(f"item {item}", (5, 5, 53, 53))]
            if number % 2:
                other = (item + number) % 12
                page.paste(tile(other, 50 + number), (60, 60))
                truths.append(Truth(f"item {other}", (60, 60, 108, 108)))
            path = folder / f"{item}-{number}.png"
            page.save(path)
            references += [Sample("reference", path, path.name, (one,)) for one in truths]
            queries.append(Sample("query", path, path.name, tuple(truths)))
    return Dataset("pages", folder, "made", tuple(references), tuple(queries))


SMALL = Sampling(logos=4, positives=4, negatives=6, seed=3)


def swept(data: Dataset, given: list[Cell], folder: Path, **options: object) -> tuple[list, int]:
    """The rows, and how many regions were embedded for them."""
    job = Sweep(data, given, SMALL, models=DUMMY, **options)  # type: ignore[arg-type]
    with VectorCache(folder) as cache, Ledger(folder / "rows.jsonl") as ledger:
        rows = list(run(job, cache, ledger))
        return rows, cache.embedded


# The grids


GRIDS = {
    "comparison": [("simple",), ("margin",), ("multi-ref-mean",), ("multi-ref-max",)],
    "thresholds": [(0.7, 0.05), (0.8, 0.05), (0.8, 0.1), (0.85, 0.1), (0.85, 0.15), (0.9, 0.15)],
    "thresholds-image-split": [
        *((0.65, 0.05), (0.7, 0.05), (0.75, 0.05), (0.8, 0.05)),
        *((0.8, 0.1), (0.85, 0.1), (0.9, 0.1)),
    ],
    "models": [("clip-vit-l-14",), ("dinov2-small",), ("dinov2-large",)],
    "refs-per-logo": [(1,), (2,), (3,), (5,), (7,), (10,), (15,), (20,)],
    "preprocessing": [("default",), ("letterbox",), ("stretch",)],
    "best-threshold": [(t / 100,) for t in range(70, 88, 2)],
    "tuned-against-baseline": [("baseline",), ("tuned",)],
    "similarity-distribution": [("baseline",), ("tuned",)],
}
VARIES = {
    "comparison": ("called",),
    "thresholds": ("threshold", "margin"),
    "thresholds-image-split": ("threshold", "margin"),
    "refs-per-logo": ("refs",),
    "preprocessing": ("mode",),
    "best-threshold": ("threshold",),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_the_grids_of_the_bench(name: str) -> None:
    preset = PRESETS[name]
    made = cells(preset.base, preset.axes)
    fields = VARIES.get(name, ("model",))
    assert [tuple(getattr(cell, field) for field in fields) for cell in made] == GRIDS[name]
    large = name in ("best-threshold", "tuned-against-baseline", "similarity-distribution")
    common = Sampling(50, 5, 20, 42) if large else Sampling(20, 20, 100, 42)
    assert preset.sampling == common
    alone = 1 if large or name in ("refs-per-logo", "preprocessing") else 3
    for cell in made:
        assert cell.least == alone
        assert cell.pool == ("mean" if large else "mean" if "mean" in cell.called else "max")
        if "threshold" not in fields:
            assert cell.threshold == (0.75 if name == "similarity-distribution" else 0.70)
        if "margin" not in fields:
            assert cell.margin == 0.05
        if "refs" not in fields:
            assert cell.refs == (3 if large else 10)


def test_given_axes_replace_what_they_vary() -> None:
    axes = with_axes(PRESETS["thresholds"].axes, {"threshold": axis("threshold", (0.5, 0.6))})
    assert [(c.threshold, c.margin) for c in cells(Cell(), axes)] == [(0.5, 0.05), (0.6, 0.05)]


@pytest.mark.parametrize("name", ["nearest", "multi-ref-min", ""])
def test_a_method_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="methods"):
        methods(name)


# The draw


def test_sides_share_nothing_and_no_query_gave_a_reference(pages: Dataset) -> None:
    for seed in range(5):
        made = draw(pages, replace(SMALL, seed=seed))
        assert made.fit is not None
        assert len(made.report.labels) == len(made.fit.labels) == 4
        assert not set(made.report.labels) & set(made.fit.labels)
        for side in (made.report, made.fit):
            given = {one.name for one in side.enrolled(99)}
            assert not given & {photo.name for photo in side.photos}
            assert all(one.label in side.labels for one in side.enrolled(99))
        reported = {photo.name for photo in made.report.photos}
        assert not reported & {one.name for one in (*made.fit.photos, *made.fit.enrolled(99))}
        shown = {label for photo in made.report.photos for label in photo.labels}
        assert shown - set(made.report.labels), "strangers are asked about as well"


def test_more_references_are_added_and_change_no_query(pages: Dataset) -> None:
    side = draw(pages, SMALL).report
    for refs in range(1, 5):
        fewer, more = side.enrolled(refs), side.enrolled(refs + 1)
        assert set(fewer) < set(more)


def test_draw_is_the_same_in_every_process(pages: Dataset) -> None:
    program = (
        "import sys, pickle, json\n"
        "from kenspeckle.evaluate.sweep.draw import draw\n"
        "from kenspeckle.evaluate.sweep.grid import Sampling\n"
        "from kenspeckle.evaluate.datasets import read\n"
        "made = draw(read(sys.argv[1]), Sampling(4, 4, 6, 3))\n"
        "names = [[o.name for o in (*s.enrolled(9), *s.photos)] for s in (made.report, made.fit)]\n"
        "print(json.dumps(names))\n"
    )
    for path in sorted(pages.folder.glob("*.png")):
        below = pages.folder / "by item" / path.name.split("-")[0]
        below.mkdir(parents=True, exist_ok=True)
        (below / path.name).write_bytes(path.read_bytes())
    said = [
        subprocess.run(
            [sys.executable, "-c", program, str(pages.folder / "by item")],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(json.loads(said[0])[0]) > 10


def test_too_few_items_to_fit_on_are_said(pages: Dataset) -> None:
    made = draw(pages, replace(SMALL, logos=9))
    assert made.fit is not None
    assert made.notes == ("thresholds are fitted on 3 other items",)
    made = draw(pages, replace(SMALL, logos=50))
    assert made.fit is None
    assert "50 items were asked for, and there are 12" in made.notes


def test_items_without_a_second_picture_cannot_be_asked_about(pages: Dataset) -> None:
    alone = replace(
        pages,
        references=tuple(one for one in pages.references if one.name.endswith("-0.png")),
        queries=tuple(one for one in pages.queries if one.name.endswith("-0.png")),
    )
    with pytest.raises(CatalogError, match="picture to ask about"):
        draw(alone, SMALL)


# The fitted threshold


def brute(rule: Rule, gallery: Gallery, queries: list[Query], threshold: float) -> float:
    """F1 of names of questions at a threshold, by loops."""
    said = true = expected = 0
    for query in queries:
        cosines = {
            label: [float(query.rows[0] @ row) for row in gallery.rows[gallery.owners == place]]
            for place, label in enumerate(gallery.labels)
        }
        best = sorted(((max(values), label) for label, values in cosines.items()), reverse=True)
        named = best[0][0] >= threshold and best[0][0] - best[1][0] >= rule.margin
        said += named
        true += named and best[0][1] in query.truth
        expected += len(set(query.truth) & set(gallery.labels))
    return 2 * true / (said + expected)


def test_fitted_threshold_has_the_largest_f1() -> None:
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(6, 16))

    def row(label: int, noise: float) -> np.ndarray:
        vector = centres[label] + noise * rng.normal(size=16)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    owners = np.repeat(np.arange(3), 4)
    gallery = Gallery(
        ("a", "b", "c"), owners, np.stack([row(int(o), 0.5) for o in owners]), ("",) * 12
    )
    queries = []
    for number in range(90):
        label = number % 6
        region = Region((0, 0, 9, 9))
        truth = ("abcdef"[label],)
        queries.append(Query(str(number), None, truth, (), (region,), row(label, 0.9)[None], None))
    rule = Rule("item-margin", margin=0.02)
    fitted = best_threshold(rule, gallery, queries)
    grid = [brute(rule, gallery, queries, t) for t in np.linspace(-0.5, 1, 301)]
    assert brute(rule, gallery, queries, fitted) >= max(grid) - 0.02
    assert max(grid) > min(grid) + 0.1


# Rows


def test_rows_add_up_and_both_counts_are_there(pages: Dataset, tmp_path: Path) -> None:
    given = cells(Cell(least=1, refs=3), PRESETS["comparison"].axes)
    rows, _ = swept(pages, given, tmp_path)
    assert [row["settings"]["threshold"] for row in rows] == [0.7, None] * 4
    for row in rows:
        ours, old = row["ours"], row["legacy"]
        assert ours["unit"] == "boxes"
        assert ours["tp"] + ours["fn"] == ours["expected"] > 0
        assert old["expected"] <= ours["expected"]
        assert row["strangers"] > 0
        assert row["fitted_on"] == (4 if row["settings"]["threshold"] is None else 0)
    fitted = rows[-1]
    assert fitted["ours"]["f1_low"] <= fitted["ours"]["f1"] <= fitted["ours"]["f1_high"]
    assert best(rows) in rows[::2]


def test_what_changes_no_vector_embeds_nothing(pages: Dataset, tmp_path: Path) -> None:
    base = Cell(least=1, refs=2)
    first, embedded = swept(pages, [base], tmp_path)
    assert embedded > 0
    others = [
        replace(base, threshold=0.4),
        replace(base, margin=0.2),
        replace(base, least=2),
        replace(base, method="centroid"),
        replace(base, legacy=True),
    ]
    rows, embedded = swept(pages, others, tmp_path)
    assert embedded == 0
    assert len({row["key"] for row in (*first, *rows)}) == 2 * 6 - 1, "T takes no part in a fit"


def test_more_references_embed_only_those_that_are_added(pages: Dataset, tmp_path: Path) -> None:
    base = Cell(least=1, refs=2)
    swept(pages, [base], tmp_path)
    _, embedded = swept(pages, [replace(base, refs=3)], tmp_path)
    made = draw(pages, SMALL)
    sides = [made.report, made.fit]
    added = {
        (one.path, one.box)
        for side in sides
        for one in set(side.enrolled(3)) - set(side.enrolled(2))  # type: ignore[union-attr]
    }
    assert embedded == len(added) == 8


def test_rows_are_not_made_again(pages: Dataset, tmp_path: Path) -> None:
    given = cells(Cell(least=1, refs=2), (axis("threshold", (0.5, 0.6, 0.7)),))
    first, _ = swept(pages, given[:2], tmp_path)
    before = (tmp_path / "rows.jsonl").read_bytes()
    rows, _ = swept(pages, given, tmp_path)
    after = (tmp_path / "rows.jsonl").read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == before.count(b"\n") + 1
    assert [row for row in rows if row in first] == first


def test_changed_pictures_make_new_rows(pages: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    moved = {}
    for one in pages.queries:
        moved[one.path] = folder / one.name
        moved[one.path].write_bytes(one.path.read_bytes())
    data = replace(
        pages,
        references=tuple(replace(one, path=moved[one.path]) for one in pages.references),
        queries=tuple(replace(one, path=moved[one.path]) for one in pages.queries),
    )
    given = [Cell(least=1, refs=2)]
    first, _ = swept(pages, given, tmp_path)
    again, embedded = swept(data, given, tmp_path)
    assert (again, embedded) == (first, 0), "the same bytes elsewhere are the same data"
    asked = draw(data, SMALL).report.photos[0].path
    with Image.open(asked) as image:
        image.convert("L").convert("RGB").save(asked)
    changed, embedded = swept(data, given, tmp_path)
    assert embedded > 0
    assert changed[0]["key"] != first[0]["key"]


def test_modes_are_fitted_and_embedded_apart(pages: Dataset, tmp_path: Path) -> None:
    given = cells(Cell(least=1, refs=2), PRESETS["preprocessing"].axes)
    rows, _ = swept(pages, given, tmp_path)
    assert [row["settings"]["mode"] for row in rows] == [
        mode for mode in ("default", "letterbox", "stretch") for _ in range(2)
    ]
    assert len({row["settings"]["space"] for row in rows}) == 3


def test_heads_are_spaces_and_rows_of_their_own(pages: Dataset, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    paths = []
    for number in range(2):
        random = np.random.default_rng(number)
        shapes = {"0.weight": (64, 192), "0.bias": (64,), "2.weight": (16, 64), "2.bias": (16,)}
        arrays = {
            f"net.{name}": random.normal(0, 0.2, shape).astype(np.float32)
            for name, shape in shapes.items()
        }
        paths.append(tmp_path / f"head-{number}.safetensors")
        save_file(arrays, paths[-1])
    given = cells(Cell(least=1, refs=2), (axis("head", ("none", *map(str, paths))),))
    rows, _ = swept(pages, given, tmp_path)
    assert [row["head"] for row in rows[::2]] == ["none", paths[0].name, paths[1].name]
    assert len({row["settings"]["space"] for row in rows}) == 3
    _, embedded = swept(pages, [replace(one, threshold=0.1) for one in given], tmp_path)
    assert embedded == 0


def test_a_row_equals_a_count_by_loops(pages: Dataset, tmp_path: Path) -> None:
    from kenspeckle.evaluate.counting import Detection
    from kenspeckle.evaluate.counting import Truth as True_
    from kenspeckle.vectors.embed import open_embedder

    cell = Cell(least=1, refs=2, threshold=0.3, margin=0.02)
    whole = {"regions": "whole"}
    (row, _), _ = swept(pages, [cell], tmp_path, **whole)
    side = draw(pages, SMALL).report
    embedder = open_embedder(DUMMY)

    def vector(sample: Sample, box: tuple[int, int, int, int] | None) -> np.ndarray:
        with Image.open(sample.path) as image:
            return embedder.vector(image.crop(box) if box else image.copy())

    references = [(one.label, vector(one, one.box)) for one in side.enrolled(2)]
    said, true = [], []
    for photo in side.photos:
        asked = vector(photo, None)
        score: dict[str, float] = {}
        for label, own in references:
            score[label] = max(score.get(label, -1.0), float(asked @ own))
        ranked = sorted(score.items(), key=lambda pair: -pair[1])
        if ranked[0][1] >= 0.3 and ranked[0][1] - ranked[1][1] >= 0.02:
            said.append(Detection(photo.name, None, ranked[0][0], ranked[0][1]))
        true += [True_(photo.name, None, name) for name in photo.labels if name in side.labels]
    expected = by_photo(said, true)
    found = row["ours"]
    assert (found["tp"], found["fp"], found["fn"]) == (expected.tp, expected.fp, expected.fn)
    assert found["tp"] + found["fp"] > 0


def test_details_hold_the_spread_of_similarities(pages: Dataset, tmp_path: Path) -> None:
    (row, _), _ = swept(pages, [Cell(least=1, refs=2)], tmp_path, details=True)
    assert len(row["details"]["distributions"]) == 5
    assert row["details"]["regions"]


def test_unreadable_pictures_are_counted(pages: Dataset, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    side = draw(pages, SMALL).report
    bad = {side.photos[0].name}
    data = replace(
        pages,
        queries=tuple(replace(q, path=broken) if q.name in bad else q for q in pages.queries),
    )
    (row, _), _ = swept(data, [Cell(least=1, refs=2)], tmp_path)
    assert sum(row["excluded"].values()) >= 1


def test_a_model_that_is_missing_stops_before_the_first_row(pages: Dataset, tmp_path: Path) -> None:
    given = [Cell(least=1, refs=2), Cell(model="dinov2-small", least=1, refs=2)]
    job = Sweep(pages, given, SMALL, models=replace(DUMMY, home=str(tmp_path)))
    with VectorCache(None) as cache, Ledger(None) as ledger:
        with pytest.raises(ModelError, match="models pull"):
            next(run(job, cache, ledger))
        assert cache.embedded == 0


# The file of rows


ROW = {"key": "k1", "settings": {}, "ours": {}, "legacy": {}}


def test_half_a_line_is_cut_off_and_whole_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with Ledger(path) as ledger:
        ledger.add(ROW)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key":"k2","sett')
    with Ledger(path) as ledger:
        assert list(ledger.rows) == ["k1"]
        ledger.add({**ROW, "key": "k2"})
    assert path.read_bytes().startswith(whole)
    with Ledger(path) as ledger:
        assert list(ledger.rows) == ["k1", "k2"]


@pytest.mark.parametrize("content", ["my notes\n", "my notes", '{"key": 1}\n', "[]\n"])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(InputError, match="--out"):
        Ledger(path)
    assert path.read_text() == content


def test_a_folder_is_no_file_of_rows(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="--out"):
        Ledger(tmp_path)


def test_one_process_has_the_file_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with Ledger(path) as ledger:
        ledger.add(ROW)
        with pytest.raises(IndexBusy, match=r"rows\.jsonl"):
            Ledger(path)
    with Ledger(path) as ledger:
        assert list(ledger.rows) == ["k1"]
    assert [one.name for one in tmp_path.iterdir()] == ["rows.jsonl"]


# Intervals


def test_rows_are_compared_item_by_item() -> None:
    """A small gain in every item is certain though each row by itself varies widely."""
    low = {f"item {n}": [n, 1, 20 - n] for n in range(20)}
    high = {f"item {n}": [min(n + 1, 20), 1, max(19 - n, 0)] for n in range(20)}
    alone = interval([high])
    both = interval([high, low])
    assert alone[0] is not None
    assert alone[1] is not None
    assert both[0] is not None
    assert both[1] is not None
    assert 0 < both[0] < both[1] < 0.1 < alone[1] - alone[0]


def test_an_items_numbers_add_up(pages: Dataset, tmp_path: Path) -> None:
    rows, _ = swept(pages, [Cell(least=1, refs=2, threshold=t) for t in (0.3, 0.5)], tmp_path)
    for row in rows:
        ours = row["ours"]
        sums = np.sum(list(ours["by_item"].values()), axis=0).tolist()
        assert sums == [ours["tp"], ours["fp"], ours["fn"]]
    found = difference(rows[1], rows[0])
    assert found is not None
    assert found[0] == pytest.approx(rows[1]["ours"]["f1"] - rows[0]["ours"]["f1"])
    assert difference(rows[0], rows[0]) == (0, 0, 0)


def test_an_item_whose_references_cannot_be_read_is_no_stranger(
    pages: Dataset, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    label = draw(pages, SMALL).report.labels[0]
    data = replace(
        pages,
        references=tuple(
            replace(one, path=broken) if one.label == label else one for one in pages.references
        ),
    )
    # One file under many names is one capture, so the sides are drawn as before but for this item.
    (row, _), _ = swept(data, [Cell(least=1, refs=2)], tmp_path)
    assert row["items"] == 3
    assert row["excluded"]["reference that could not be read"] >= 1
    assert row["excluded"]["photo of an item without a readable reference"] >= 1


def test_threshold_of_photos_is_fitted_on_their_deciding_region() -> None:
    """Each photo has a region like its item and one like another: the nearer one answers."""
    unit = np.eye(4, dtype=np.float32)
    gallery = Gallery(("a", "b"), np.array([0, 1]), unit[:2], ("", ""))
    queries = []
    for number in range(20):
        own = number % 2
        near = 0.9 * unit[own] + np.sqrt(1 - 0.9**2) * unit[2]
        far = 0.6 * unit[1 - own] + 0.8 * unit[3]
        regions = (Region((0, 0, 9, 9)), Region((0, 0, 5, 5), "window"))
        rows = np.stack([far, near]).astype(np.float32)
        queries.append(Query(str(number), None, ("ab"[own],), (), regions, rows, None))
    strangers = [
        replace(query, truth=(), rows=query.rows[:1], regions=query.regions[:1])
        for query in queries
    ]
    fitted = best_threshold(Rule("item-margin", margin=0), gallery, queries + strangers)
    assert 0.6 < fitted <= 0.9


@pytest.mark.parametrize("legacy", [False, True])
def test_a_rule_that_names_nothing_gets_the_highest_threshold(legacy: bool) -> None:
    unit = np.eye(3, dtype=np.float32)
    gallery = Gallery(("a", "b"), np.array([0, 1]), unit[:2], ("", ""))
    region = (Region((0, 0, 9, 9)),)
    queries = [Query(str(n), None, ("ab"[n],), (), region, unit[n : n + 1], None) for n in (0, 1)]
    rule = Rule("multi-ref", least=3, legacy=legacy)
    assert best_threshold(rule, gallery, queries) == pytest.approx(1)
