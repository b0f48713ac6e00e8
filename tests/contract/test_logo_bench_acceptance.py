"""The logo test bench replaced: one test for each item of its acceptance list that needs no
training, on made data, through the command line where it has the item.

Presets killed and taken up again: `tests/e2e/test_cli_sweep.py`; the pixels of every mode:
`tests/golden/test_squares.py`; checkpoints one by one: `tests/unit/test_engines_torch.py`.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from labelled import logodet, voc
from PIL import Image, ImageChops
from safetensors.numpy import save_file

from kenspeckle.config import ModelSettings
from kenspeckle.engines.dummy import WIDTH
from kenspeckle.engines.recipes import in_mode
from kenspeckle.evaluate import datasets
from kenspeckle.evaluate import run as evaluation
from kenspeckle.evaluate.cache import VectorCache
from kenspeckle.evaluate.counting import Detection, Truth, legacy, one_to_one
from kenspeckle.evaluate.judges import Scored
from kenspeckle.evaluate.logo_draw import LogoPlan, logo_draws
from kenspeckle.evaluate.protocols import Plan, draws
from kenspeckle.evaluate.sweep.draw import draw as sweep_draw
from kenspeckle.evaluate.sweep.grid import PRESETS, Sampling
from kenspeckle.image.views import camera_views
from kenspeckle.match.methods import Rule, averaged, table, verdicts
from kenspeckle.types import Picture, Recipe, Region
from kenspeckle.vectors.admit import drawn_pictures
from kenspeckle.vectors.embed import open_embedder
from kenspeckle.vectors.preprocess import fitted

if TYPE_CHECKING:
    from commands import Command

ROOT = Path(__file__).parent.parent.parent
GROUND = (90, 100, 110)
SMALL = ("-n", 3, "--refs-per-logo", 2, "--positive-samples", 2, "--negative-samples", 4)


def brands(root: Path, count: int = 8, pictures: int = 4) -> Path:
    """The layout of LogoDet-3K: pictures of drawn brands in a scene, with their boxes."""
    for number, mark in enumerate(drawn_pictures(count, side=80)):
        folder = root / f"Category {number % 3}" / f"brand {number}"
        folder.mkdir(parents=True)
        for place, view in enumerate(camera_views(mark, pictures, number, 0.2)):
            scene = Image.new("RGB", (200, 160), GROUND)
            left, top = 20 + 10 * place, 30 + 5 * place
            scene.paste(view.resize((80, 80)), (left, top))
            scene.save(folder / f"{place}.jpg", quality=92)
            box = (left, top, left + 80, top + 80)
            voc(folder / f"{place}.xml", (f"brand {number}", box))
    return root


def folders(root: Path, count: int = 10, pictures: int = 5) -> Path:
    """A folder an item."""
    for number, image in enumerate(drawn_pictures(count, side=90)):
        folder = root / f"thing {number}"
        folder.mkdir(parents=True)
        for place, view in enumerate(camera_views(image, pictures, number, 0.2)):
            view.save(folder / f"{place}.png")
    return root


def a_head(path: Path, seed: int, out: int = 32) -> Path:
    choose = np.random.default_rng(seed)
    shapes = {"net.0.weight": (64, WIDTH), "net.0.bias": (64,)}
    shapes |= {"net.2.weight": (out, 64), "net.2.bias": (out,)}  # type: ignore[dict-item]
    made = {name: choose.normal(0, 0.1, shape).astype("f4") for name, shape in shapes.items()}
    save_file(made, path)
    return path


def test_item_1_a_made_dataset_is_prepared_once(command: Command, tmp_path: Path) -> None:
    """Three categories, one brand name in two of them, a broken XML, a box outside."""
    data = logodet(tmp_path / "LogoDet-3K")
    words = ("data", "logodet", "prepare", data, "--out", "out", "--json")
    made = command(*words).told
    assert (made["items"], made["pictures"], made["crops"]) == (4, 11, 12)
    assert {one["what"].split(" ")[0]: one["why"].split(" (")[0] for one in made["left_out"]} == {
        "Food/Star/3.xml": "broken XML",
        "Clothes/Moon/2.jpg": "a box outside its picture",
    }
    assert sorted(made["splits"]) == ["test", "train", "val"]
    assert len(list((tmp_path / "out/reference_logos").iterdir())) == 12
    with closing(sqlite3.connect(tmp_path / "out/test_data_mapping.db")) as base:
        tables = {n for (n,) in base.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        names = {n for (n,) in base.execute("SELECT name FROM logo_names")}
    assert {"logo_names", "reference_logos"} <= tables
    assert {"Food/Star", "Clothes/Star"} < names, "a brand is told by its category as well"
    before = stamps(tmp_path / "out")
    again = command(*words).told
    assert (again["added"], again["removed"], again["left_out"]) == (0, 0, made["left_out"])
    assert stamps(tmp_path / "out") == before
    assert "Nothing to do" in command(*words[:-1]).out


def stamps(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*.*")}


def former_database(folder: Path, logos: int = 6) -> Path:
    """What the bench's own script left: crops named after logo, picture and number, and tables."""
    crops, shown, names = [], [], []
    for number, mark in enumerate(drawn_pictures(logos, side=70)):
        names.append((number, f"logo{number}"))
        for place, view in enumerate(camera_views(mark, 4, number, 0.2)):
            picture, crop = (
                f"{10 * number + place}.jpg",
                f"logo{number}_{10 * number + place}_0.jpg",
            )
            scene = Image.new("RGB", (150, 120), GROUND)
            scene.paste(view.resize((70, 70)), (20, 20))
            for where, image in (("test_images", scene), ("reference_logos", view)):
                (folder / where).mkdir(parents=True, exist_ok=True)
                image.save(folder / where / (picture if image is scene else crop), quality=92)
            crops.append((crop, number))
            shown.append((picture, number))
    with closing(sqlite3.connect(folder / "test_data_mapping.db")) as base:
        base.executescript(
            "CREATE TABLE logo_names (id INTEGER PRIMARY KEY, name TEXT);"
            "CREATE TABLE reference_logos (filename TEXT, logo_name_id INTEGER);"
            "CREATE TABLE image_logos (image TEXT, logo_name_id INTEGER);"
        )
        for name, rows in (
            ("logo_names", names), ("reference_logos", crops), ("image_logos", shown),
        ):  # fmt: skip
            base.executemany(f"INSERT INTO {name} VALUES (?, ?)", rows)
        base.commit()
    return folder


def test_item_2_an_existing_database_needs_no_preparation(command: Command, tmp_path: Path) -> None:
    folder = former_database(tmp_path / "former")
    before = stamps(folder)
    data = command("evaluate", folder, *SMALL, "-t", 0.5, "--json", "-", "--no-cache").told
    assert data["settings"]["layout"] == "mapping"
    assert (data["draws"][0]["items"], data["draws"][0]["references"]) == (3, 6)
    assert data["draws"][0]["mated"] == 6
    assert any("pictures from" in note for note in data["notes"]), "what was taken is said"
    assert data["answers"][0]["reference"].startswith("reference_logos/")
    assert stamps(folder) == before
    with closing(sqlite3.connect(folder / "test_data_mapping.db")) as base:
        base.execute("DROP TABLE image_logos")
        base.commit()
    refused = command("evaluate", folder, *SMALL, code=1)
    assert "logo_names(id, name)" in refused.err


def test_item_3_one_seed_one_draw_and_no_query_gave_a_reference(
    command: Command, tmp_path: Path
) -> None:
    command("data", "logodet", "prepare", brands(tmp_path / "raw"), "--out", "made")
    words = ["evaluate", "made", *map(str, SMALL), "--seed", "9", "-v", "--no-cache"]
    texts = [in_a_process(words, seed, tmp_path) for seed in ("1", "2")]
    assert texts[0] == texts[1]
    assert "Answers (draw, photo" in texts[0]
    assert in_a_process([*words, "--seed", "10"], "1", tmp_path) != texts[0]

    def sources(*more: str) -> tuple[set[str], set[str]]:
        asked = command(*words, "--json", "-", *more).told["answers"]
        plan = LogoPlan(3, 2, 2, 4, ask_references=bool(more))
        (made,) = logo_draws(datasets.read(tmp_path / "made"), 1, seed=9, plan=plan)
        assert {one["query"] for one in asked} == {one.name for one in made.queries}
        return {one.capture for one in made.references}, {one["query"] for one in asked}

    gave, asked = sources()
    assert len(gave) == 6
    assert not gave & asked
    gave, asked = sources("--ask-references")
    assert gave & asked, "asked for, they are asked about"


def in_a_process(words: Sequence[str], seed: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "kenspeckle", *words],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_item_4_the_rules_give_the_worked_examples() -> None:
    five = (0.92, 0.78, 0.85, 0.71, 0.88)
    assert said(Rule("multi-ref", 0.80, pool="mean"), A=five).scores[0] == pytest.approx(0.828)
    most = said(Rule("multi-ref", 0.80, pool="max"), A=five)
    assert (round(float(most.scores[0]), 6), int(most.counts[0])) == (0.92, 3)
    two = {"A": (0.92, 0.91, 0.85), "B": (0.78, 0.75, 0.72)}
    assert named(Rule("margin", 0.70, 0.05), **two) == []
    assert said(Rule("margin", 0.70, 0.05), **two).margins[0] == pytest.approx(0.01)
    assert named(Rule("multi-ref", 0.70, 0.05, pool="max"), **two) == ["A"]
    assert said(Rule("multi-ref", 0.70, 0.05, pool="max"), **two).margins[0] == pytest.approx(0.14)
    for method in ("margin", "multi-ref", "centroid"):
        assert named(Rule(method, 0.70, 0.05), A=(0.82,), B=(0.79,)) == []  # type: ignore[arg-type]
    assert named(Rule("simple", 0.70), **two) == ["A", "B"]
    lone = {"A": (0.84, 0.84), "B": (0.83, 0.79)}
    assert named(Rule("multi-ref", 0.80, 0.05, least=2, pool="max", legacy=True), **lone) == ["A"]
    assert named(Rule("multi-ref", 0.80, 0.05, least=2, pool="max"), **lone) == []


def said(rule: Rule, **items: Sequence[float]) -> Any:
    owners = [place for place, of in enumerate(items.values()) for _ in of]
    row = np.array([[one for of in items.values() for one in of]], np.float32)
    return verdicts(rule, table(row, np.array(owners)))


def named(rule: Rule, **items: Sequence[float]) -> list[str]:
    found = said(rule, **items)
    return [list(items)[place] for place in found.places[found.names[0]].tolist()]


def test_item_5_both_ways_of_counting(command: Command, tmp_path: Path) -> None:
    at, far = (0, 0, 10, 10), (50, 50, 60, 60)
    true = [Truth("p", at, "cup"), Truth("q", far, "hat")]
    made = [Detection("p", box, "cup", 0.9) for box in (at, (1, 0, 10, 10), far)]
    former, ours = legacy(made, true), one_to_one(made, true)
    assert (former.tp, former.fp, former.fn, former.expected) == (3, 0, 1, 2)
    assert former.recall == 1.5
    assert former.tp + former.fn != former.expected, "as the bench's figures"
    assert (ours.tp, ours.fp, ours.fn) == (1, 2, 1)
    assert ours.tp + ours.fn == len(true)
    words = ("--regions", "windows", "--method", "simple", "-t", "0.1", "--no-cache")
    text = command("evaluate", brands(tmp_path / "raw"), *words, "--count", "legacy").out
    former_count, our_count = (
        list(map(int, (word.strip(",") for word in line.split() if word.strip(",").isdigit())))
        for line in text.splitlines()
        if line.startswith("  true positives")
    )
    assert former_count[0] > former_count[3], "every region counts: recall above 100 %"
    assert our_count[0] + our_count[2] == our_count[3]


@dataclass(frozen=True)
class Outstanding:
    """Finds what stands out from the ground; regions below `least` pixels a side are dropped."""

    least: int = 20

    @property
    def key(self) -> str:
        return f"outstanding {self.least}"

    def __call__(self, picture: Picture) -> Sequence[Region]:
        ground = Image.new("RGB", picture.size, GROUND)
        apart = ImageChops.difference(picture.image, ground).convert("L")
        box = apart.point(lambda value: 255 * (value > 25)).getbbox()
        if box is None or min(box[2] - box[0], box[3] - box[1]) < self.least:
            return []
        return [Region(box, "found", 0.9)]


def test_item_6_finding_and_naming_apart(command: Command, tmp_path: Path) -> None:
    data = brands(tmp_path / "raw", 12, 4)
    for number in (0, 4, 8):  # brands whose pictures show nothing to find
        for path in (data / f"Category {number % 3}" / f"brand {number}").glob("*.jpg"):
            with Image.open(path) as image:
                empty = image.crop((0, 0, 15, 15)).resize((200, 160))
            empty.putpixel((int(path.stem), number), (9, 9, 9))  # no two files alike
            empty.save(path, quality=92)
    true = command("evaluate", data, "--regions", "truth", "--json", "-", "--no-cache").told
    assert true["regions"]["recall"]["value"] == 1
    assert true["regions"]["naming"] == true["regions"]["end_to_end"]
    read = datasets.read(data)
    embedder = open_embedder(ModelSettings(name="dummy"))
    drawn = list(draws(read, 5, plan=Plan(references=2)))
    found = evaluation.judged(
        evaluation.prepare(read, drawn, embedder, regions=Outstanding()), Scored(), fpir=0.2
    )
    figures = found.regions
    assert figures is not None
    assert 0.5 < figures.recall.value < 1
    assert figures.recall.n > figures.naming.n > 0, "naming is of the boxes that were met"
    assert figures.end_to_end.value < figures.naming.value
    assert any(one.region == "none" and not one.said for one in found.answers)
    assert found.counts[0].unit == "boxes"
    assert found.counts[0].tp + found.counts[0].fn == found.counts[0].expected
    assert found.settings["regions"] == "outstanding 20"


@pytest.mark.parametrize("preset", PRESETS)
def test_item_7_every_sweep_is_one_command(command: Command, tmp_path: Path, preset: str) -> None:
    data = folders(tmp_path / "data", 6, 4)
    words = ["sweep", data, "--preset", preset, "--num-logos", 2, "--min-matching-refs", 1]
    words += ["--refs-per-logo", 2] if preset != "refs-per-logo" else []
    words += ["--models", "dummy"] if preset == "models" else []
    words += ["--positive-samples", 2, "--negative-samples", 3, "--cache", "kept"]
    head = a_head(tmp_path / "tuned.safetensors", 1)
    first = command(*words, "--tuned", head)
    for column in ("TP", "FP", "FN", "Prec", "Recall", "F1"):
        assert column in first.out.splitlines()[0].split()
    path = tmp_path / f"sweep-{preset}.jsonl"
    before = path.read_bytes()
    again = command(*words, "--tuned", head)
    assert (path.read_bytes(), again.out) == (before, first.out)
    assert "; 0 regions embedded" in again.err
    rows = [json.loads(line) for line in before.splitlines()]
    assert {row["fitted_on"] for row in rows if row["settings"]["threshold"] is None} == {2}
    spaces = {row["settings"]["space"] for row in rows}
    fitted = [row for row in rows if row["settings"]["threshold"] is None]
    assert {row["settings"]["space"] for row in fitted} == spaces, "T of each is fitted"


def test_item_7_only_what_is_new_is_embedded(command: Command, tmp_path: Path) -> None:
    data = folders(tmp_path / "data", 6, 6)
    usual = ["sweep", data, "-n", 3, "--positive-samples", 2, "--negative-samples", 3]
    usual += ["--cache", "kept", "--out", "rows.jsonl"]

    def embedded(*words: object) -> int:
        counted = re.search(r"; (\d+) regions? embedded", command(*usual, *words).err)
        assert counted is not None
        return int(counted[1])

    assert embedded("--refs-per-logo", 1, "--min-matching-refs", 1) > 0
    for words in (
        ("--thresholds", "0.3,0.6,0.9"),
        ("--margins", "0.01,0.2"),
        ("--min-matching-refs", 2),
        ("--methods", "simple,margin,centroid,multi-ref-mean,top-k"),
        ("--rule", "legacy"),
    ):
        rest = () if "--min-matching-refs" in words else ("--min-matching-refs", 1)
        assert embedded("--refs-per-logo", 1, *rest, *words) == 0, words
    # three items on each side, of which each has one reference more
    assert embedded("--refs-per-logo", 2, "--min-matching-refs", 1) == 6
    made = sweep_draw(datasets.read(data), Sampling(3, 2, 3, 42))
    assert made.fit is not None
    assert not {*made.report.labels} & {*made.fit.labels}, "T is fitted on other items"


def test_item_8_nothing_changed_is_answered_from_old_vectors(
    command: Command, tmp_path: Path
) -> None:
    data, head = folders(tmp_path / "data", 6, 3), a_head(tmp_path / "head.safetensors", 1)

    def made(*words: object) -> int:
        usual = ("evaluate", data, "--draws", 1, "--cache", "kept", "--json", "-")
        return int(command(*usual, *words).told["stages"]["regions embedded"])

    everything = made()
    assert everything > 0
    assert made() == 0
    assert made("--preprocess-mode", "letterbox") == everything
    assert made("--projection", head) == everything
    assert made("--projection", head) == 0
    a_head(head, 2)  # other weights under the same name
    assert made("--projection", head) == everything
    for path in data.glob("*/*.png"):  # other content under the same names
        with Image.open(path) as image:
            turned = image.transpose(Image.Transpose.ROTATE_90)
        turned.save(path)
    assert made() == everything
    embedder, read = open_embedder(ModelSettings(name="dummy")), datasets.read(data)
    sizes = []
    for least in (20, 20, 21):  # a detector's setting
        with VectorCache(tmp_path / "kept") as cache:
            finder = Outstanding(least)
            evaluation.prepare(read, draws(read, 1), embedder, regions=finder, cache=cache)
            sizes.append(cache.embedded)
    assert sizes[0] > 0
    assert (sizes[1], sizes[2] > 0) == (0, True)


@pytest.mark.parametrize("mode", ["letterbox", "stretch", "legacy-letterbox", "legacy-stretch"])
@pytest.mark.parametrize("side", [224, 336])
@pytest.mark.parametrize("shape", ["wide", "tall", "square"])
def test_item_9_modes_give_the_golden_squares(shape: str, side: int, mode: str) -> None:
    """Every mode and model: `tests/golden/test_squares.py`."""
    tool = runpy.run_path(str(ROOT / "tools/golden_squares.py"))
    model = {224: "clip", 336: "clip-336"}[side]
    with np.load(ROOT / "tests/golden/squares.npz", allow_pickle=False) as stored:
        golden = stored[f"{shape} {model} {mode}"]
    picture = tool["drawn"](tool["SIZES"][shape])
    made = np.asarray(fitted(picture, in_mode(Recipe(side, "crop"), mode)))
    np.testing.assert_array_equal(made[:: tool["STEP"], :: tool["STEP"]], golden)
    if mode == "legacy-stretch":  # through 224 pixels a side, whatever the model takes
        through = picture.resize((224, 224), Image.Resampling.LANCZOS)
        again = through.resize((side, side), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(made, np.asarray(again))


VISION = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32}
VISION |= {"patch_size": 8}
TEXT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 99}
TEXT |= {"num_attention_heads": 2, "bos_token_id": 0, "eos_token_id": 1}
SQUASH = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def checkpoint(folder: Path, kind: str) -> Path:
    """A tiny network of a kind that only its config tells."""
    import torch
    import transformers as t

    torch.manual_seed(3)
    wide = {**VISION, "intermediate_size": 32}
    network = {
        "clip": lambda: t.CLIPModel(
            t.CLIPConfig(text_config=TEXT, vision_config=wide, projection_dim=24)
        ),
        "siglip": lambda: t.SiglipModel(t.SiglipConfig(text_config=TEXT, vision_config=wide)),
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**VISION)),
    }[kind]()
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(SQUASH | {"resample": 3}))
    return folder


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clip", "dinov2", "siglip"])
def test_item_10_tiny_checkpoints_embed(command: Command, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    path, data = checkpoint(tmp_path / "model", kind), folders(tmp_path / "data", 4, 2)
    found = command("evaluate", data, "-e", path, "--draws", 1, "--json", "-", "--no-cache").told
    assert found["stages"]["regions embedded"] > 0
    assert found["answers"]


def test_item_10_a_folder_with_another_model_names_both(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models/logo_detection/embedding"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    config = {"model_type": "dinov2", "hidden_size": 384, "num_hidden_layers": 12}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("LOGO_EMBEDDING_MODEL_DIR", str(folder))
    data = folders(tmp_path / "data", 4, 2)
    refused = command("evaluate", data, "-e", "openai/clip-vit-large-patch14", code=1)
    assert "clip" in refused.err
    assert "dinov2" in refused.err
    assert len(refused.err.strip().splitlines()) == 1


def test_item_11_averaged_references_and_names_by_prefix(command: Command, tmp_path: Path) -> None:
    choose = np.random.default_rng(5)
    rows = choose.normal(size=(7, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    owners = np.array([0, 0, 0, 1, 1, 2, 2])
    means, places = averaged(rows, owners)
    for mean, item in zip(means, places.tolist(), strict=True):
        whole = rows[owners == item].mean(axis=0)
        np.testing.assert_allclose(mean, whole / np.linalg.norm(whole), atol=1e-6)

    images = drawn_pictures(8, side=80)
    for number, name in enumerate(("Burnley", "vale")):
        for place, view in enumerate(camera_views(images[number], 3, number, 0.2)):
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
            view.save(tmp_path / "data" / name / f"{place}.png")
    (tmp_path / "data/vale/broken.png").write_bytes(b"no picture")
    photos = tmp_path / "data/test_images"
    photos.mkdir()
    shows = {
        "BURNLEY_1.jpg": ["Burnley"],
        "vale_2.jpg": ["vale"],
        "burnley+vale_3.jpg": ["Burnley", "vale"],
        "valet_4.jpg": [],
        "crowd_5.jpg": [],
        "6.jpg": [],
    }
    for image, name in zip((*images[:2], images[0], *images[2:5]), shows, strict=True):
        image.save(photos / name)
    read = datasets.read(tmp_path / "data")
    assert read.layout == "prefixed"
    truth = {s.name.split("/")[-1]: sorted(s.labels) for s in (*read.queries, *read.strangers)}
    assert truth == shows
    words = ("evaluate", "data", "--method", "centroid", "-n", 2, "-t", 0.7, "--margin", 0.05)
    found = command(*words, "--json", "-", "--no-cache").told
    names = {one["query"].split("/")[-1]: sorted(one["truth"]) for one in found["answers"]}
    assert names == {name: shows[name] for name in names}
    assert {"BURNLEY_1.jpg", "vale_2.jpg"} <= set(names)
    assert found["counts"][0]["rule"] == "ours"


SECTION_4 = (
    "accepted, right", "accepted, wrong", "missed, best cosine of the right name",
    "pairs of one item", "pairs of two items",
)  # fmt: skip
SPREAD = ("n", "least", "most", "mean", "sd", "median", "p10", "p25", "p75", "p90", "share_above")


@pytest.fixture
def reported(command: Command, tmp_path: Path) -> tuple[str, dict[str, Any], str]:
    """Text, JSON and page of one evaluation, against a former one, with labels seen in training."""
    pytest.importorskip("matplotlib")
    data = folders(tmp_path / "data", 16, 4)
    usual = ("evaluate", data, "-n", 5, "--refs-per-logo", 2, "--negative-samples", 12)
    usual += ("--positive-samples", 2, "--similarity-details", "--no-cache")  # type: ignore[assignment]
    command(*usual, "-t", 0.99, "--method", "margin", "--json", "before.json")
    (tmp_path / "seen.txt").write_text("".join(f"thing {number}\n" for number in range(8)))
    text = command(
        *usual, "-t", 0.3, "--method", "simple", "--before", "before.json", "--seen", "seen.txt",
        "--json", "after.json", "--html", "page.html",
    ).out  # fmt: skip
    return text, json.loads(Path("after.json").read_text()), Path("page.html").read_text()


def test_item_16_the_report_holds_all_of_section_4(
    reported: tuple[str, dict[str, Any], str],
) -> None:
    text, data, page = reported
    count = data["counts"][0]
    numbers = {"true positives": "tp", "false positives": "fp", "false negatives": "fn"}
    for words, name in (*numbers.items(), ("expected", "expected")):
        assert f"{words} {count[name]}" in text
    for name in ("precision", "recall", "f1"):
        assert f"{count[name]:.4f} ({100 * count[name]:.1f}%)" in text
    assert 0 < len(count["false"]) <= 5
    assert "First false hits" in text
    details = data["details"]
    assert [one["name"] for one in details["distributions"]] == list(SECTION_4)
    for one in details["distributions"]:
        assert set(SPREAD) <= set(one)
        assert f"{one['name']}: n" in text or f"{one['name']}: none" in text
    assert len(details["regions"]) == 20
    assert max(len(one["top"]) for one in details["regions"]) == 5
    assert {"score", "truth", "query", "box"} <= set(details["regions"][0])
    overlap = details["overlap"]
    assert overlap is None or {"low", "high", "right_inside", "wrong_inside"} == set(overlap)
    assert ("do not overlap" if overlap is None else "overlap from") in text
    assert 0 < details["best"]["threshold"] <= 1
    assert f"parted best at {details['best']['threshold']:.3f}" in text
    assert "the first 20 regions" in text.lower()
    for words in ("settings", "rule"):
        assert words in data or words in data["settings"]
    for words in (
        "Hits and misses, counted",
        *SECTION_4,
        "P10",
        "expected",
        "part best at",
        "20 regions",
    ):
        assert words.lower() in page.lower(), words


def test_item_16_before_and_after_seen_and_unseen(
    reported: tuple[str, dict[str, Any], str],
) -> None:
    text, data, page = reported
    for whole in (text, page):
        for words in ("Before and after", "Seen and unseen", "not seen in training"):
            assert words.lower() in whole.lower()
    named, *_ = data["comparison"]["changes"]
    assert named["low"] <= named["change"] <= named["high"]
    assert named["after"] > named["before"]
    assert data["comparison"]["alone"] == 0, "the same queries"
    seen, unseen = data["familiar"]
    assert seen["items"] + unseen["items"] == data["draws"][0]["items"]
