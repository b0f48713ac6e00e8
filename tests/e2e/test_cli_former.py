"""What users of `data_label_factory.identify` rely on: flags, lines, files and exit codes."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

CARDS = ("dark_magician_pscr", "pharaoh_s_servant", "blue-eyes_white_dragon_ur", "vitamin_s")


@pytest.fixture
def cards(tmp_path: Path, drawn) -> Path:
    folder = tmp_path / "cards"
    folder.mkdir()
    for number, name in enumerate(CARDS):
        drawn(200 + number).save(folder / f"LOCH-JP00{number}_{name}.png")
    return folder


def unit(count: int, width: int = 512, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def former_npz(path: Path, rows: np.ndarray) -> None:
    """An index as the former program wrote it: names and file names are pickled objects."""
    names = np.array([f"Card {number} Pscr" for number in range(len(rows))], dtype=object)
    files = np.array([f"LOCH-JP{number:03}_card.jpg" for number in range(len(rows))], dtype=object)
    np.savez(path, embeddings=rows, names=names, filenames=files)


def test_index_writes_its_lines_and_an_npz_without_objects(run, cards, tmp_path, drawn):
    for number in range(30):
        drawn(300 + number).save(cards / f"card_{number:02}.png")
    (cards / "aaa.jpg").write_bytes(b"no picture")
    below = cards / "below"
    below.mkdir()
    drawn(400).save(below / "inner.png")
    done = run("index", "--refs", cards, "--no-calibrate")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(line.startswith("[index] ") for line in lines)
    assert lines[0] == "[index] device=cpu"
    assert lines[1] == "[index] loading model dummy"
    assert lines[2] == f"[index] 35 images in {cards}"
    progress = [line for line in lines if re.match(r"\[index\] \[ ?\d+/35\] ", line)]
    assert len(progress) == 2
    assert progress[0].startswith("[index] [25/35] ")
    assert progress[1].startswith("[index] [35/35] ")
    assert sum(line.startswith("[index] skip aaa.jpg: ") for line in lines) == 1
    size = (tmp_path / "card_index.npz").stat().st_size / 1024
    assert lines[-1] == f"[index] wrote card_index.npz: 34 refs × 192 dims, {size:.1f} KB"
    with np.load(tmp_path / "card_index.npz", allow_pickle=False) as file:
        rows, names, files = file["embeddings"], list(file["names"]), list(file["filenames"])
    assert (rows.dtype, rows.shape) == (np.float32, (34, 192))
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    assert len(names) == len(files) == 34
    assert names[files.index("LOCH-JP000_dark_magician_pscr.png")] == "Dark Magician Pscr"
    assert names[files.index("LOCH-JP001_pharaoh_s_servant.png")] == "Pharaoh's Servant"


def test_look_alikes_and_what_was_left_out_come_before_the_last_line(run, cards, drawn, tmp_path):
    drawn(200).save(cards / "LOCH-JP090_twin.png")
    (cards / "notes.txt").write_text("not a picture")
    done = run("index", "--refs", cards)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(line.startswith("[index] ") for line in lines)
    assert lines[-1].startswith("[index] wrote card_index.npz: 5 refs ")
    assert lines[-2].startswith("[index] Strangers, ")
    assert "[index] Left out: 1 file (1 × not a picture file)." in lines
    title = lines.index("[index] Look-alikes, pictures of different items that photos may confuse:")
    assert "LOCH-JP090_twin.png" in lines[title + 1]


def test_the_name_asked_for_is_the_name_written(run, cards, tmp_path):
    done = run("index", "--refs", cards, "--out", "deep/er/x.npz", "--no-calibrate")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "deep/er/x.npz").is_file()
    done = run("index", "--refs", cards, "--out", "cards_index", "--no-calibrate")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cards_index").is_file()


def test_one_more_card_is_the_only_one_embedded(run, cards, drawn):
    assert run("index", "--refs", cards, "--no-calibrate").returncode == 0
    drawn(500).save(cards / "LOCH-JP099_new.png")
    done = run("index", "--refs", cards, "--no-calibrate")
    assert "[index] [1/1] New" in done.stdout
    assert "5 refs" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("content", [[], ["notes.txt"], ["a.jpg", "b.png"]])
def test_nothing_to_index_exits_with_1(run, tmp_path, content):
    folder = tmp_path / "empty"
    folder.mkdir()
    for name in content:
        (folder / name).write_bytes(b"x")
    done = run("index", "--refs", folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "card_index.npz").exists()


def test_two_prints_of_one_item_are_one_item(run, tmp_path, drawn):
    folder = tmp_path / "prints"
    folder.mkdir()
    picture = drawn(600)
    picture.save(folder / "LOCH-JP001_hero_pscr.png")
    picture.point(lambda value: min(255, value + 3)).save(folder / "LOCH-JP002_hero_ur.png")
    for number in range(18):
        drawn(610 + number).save(folder / f"LOCH-JP1{number:02}_other_{number}.png")
    assert run("index", "--refs", folder, "--no-calibrate").returncode == 0
    picture.save(tmp_path / "photo.jpg", quality=90)
    (answer,) = map(json.loads, run("identify", "photo.jpg", "--json").stdout.splitlines())
    assert (answer["known"], answer["label"]) == (True, "Hero")
    assert answer["candidates"][1]["label"] != "Hero"
    assert answer["margin"] > 0.05
    assert "PScR" in answer["variant"] or "UR" in answer["variant"]


def test_a_projection_head_is_used_and_the_wrong_index_refused(run, cards, tmp_path):
    choose = np.random.default_rng(3)
    shapes = {
        "net.0.weight": (64, 192), "net.0.bias": (64,),
        "net.2.weight": (32, 64), "net.2.bias": (32,),
    }  # fmt: skip
    tensors = {
        name: choose.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()
    }
    save_file(tensors, tmp_path / "head.safetensors")
    done = run("index", "--refs", cards, "--proj", "head.safetensors", "--no-calibrate")
    assert done.returncode == 0, done.stderr
    assert "[index] projection head.safetensors out_dim=32" in done.stdout
    assert "4 refs × 32 dims" in done.stdout
    photo = next(cards.iterdir())
    assert run("identify", photo).returncode == 0
    tensors["net.2.bias"] += 1
    save_file(tensors, tmp_path / "other.safetensors")
    done = run("identify", photo, "--projection", "other.safetensors")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("head") >= 2


def test_verify_says_the_former_lines(run, tmp_path):
    former_npz(tmp_path / "card_index.npz", unit(20))
    done = run("verify")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "[verify] 20 rows × 512 dims"
    pairs = [line for line in lines if "↔" in line]
    assert len(pairs) == 5
    assert all(re.fullmatch(r"  -?0\.\d{3}  Card \d+ Pscr  ↔  Card \d+ Pscr", p) for p in pairs)
    assert "20/20 = 100.0% top-1 self-id" in lines
    assert any(line.startswith("median self similarity:       1.000") for line in lines)
    assert any(line.startswith("median best wrong similarity: 0.") for line in lines)
    place = lines.index("recommended similarity threshold: 0.50")
    assert "kenspeckle identify uses the calibration" in lines[place + 1]
    assert any(
        line.startswith("perturbed queries: not measured (of 20 pictures 20 not where")
        for line in lines
    )
    assert lines[-1].startswith("next: kenspeckle index PICTURES --out card_index.new.npz")


def test_verify_fails_on_duplicates(run, tmp_path):
    rows = unit(20)
    rows[7] = rows[3]
    former_npz(tmp_path / "twice.npz", rows)
    done = run("verify", "--index", "twice.npz")
    assert done.returncode == 1
    assert "19/20 = 95.0% top-1 self-id" in done.stdout
    assert "same vector, different items: Card 3 Pscr, Card 7 Pscr" in done.stdout
    assert "Card 7 Pscr: top 1.000 (Card 3 Pscr), self 1.000" in done.stdout


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("top", [0, 5])
def test_verify_works_for_small_indexes(run, tmp_path, count, top):
    former_npz(tmp_path / "small.npz", unit(count))
    done = run("verify", "--index", "small.npz", "--top-confusables", top)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("↔") == (0 if top == 0 else count * (count - 1) // 2)


def test_verify_takes_the_index_as_calibrate_does(run, tmp_path):
    former_npz(tmp_path / "small.npz", unit(5))
    named = run("verify", "small.npz")
    assert (named.returncode, named.stderr) == (0, "")
    assert named.stdout == run("verify", "--index", "small.npz").stdout
    assert run("verify", "small.npz", "--index", "small.npz").returncode == 0
    both = run("verify", "small.npz", "--index", "other.npz")
    assert both.returncode == 2
    assert "name the index once" in both.stderr


def test_verify_asks_about_perturbed_pictures_and_speaks_json(run, cards):
    assert run("index", "--refs", cards, "--no-calibrate").returncode == 0
    done = run("verify", "--perturbed", "3")
    assert (
        "perturbed queries (3 camera views of 3 references, none of them fitted on):" in done.stdout
    )
    assert re.search(r"top-1 \d+\.\d%, top-5 100\.0%", done.stdout)
    done = run("verify", "--json", "--perturbed", "0")
    said = json.loads(done.stdout)
    assert (said["rows"], said["self_id"]["share"], said["perturbed"]) == (4, 1.0, None)
    assert said["perturbed_skipped"] == "not asked for"


def test_a_former_index_opens_but_is_not_asked_with_another_model(run, tmp_path, drawn):
    former_npz(tmp_path / "old.npz", unit(5))
    drawn(1).save(tmp_path / "photo.png")
    about = json.loads(run("info", "--index", "old.npz", "--json").stdout)
    assert (about["references"], about["manifest"]["naming"]) == (5, "cards")
    assert len(run("list", "--index", "old.npz", "--json").stdout.splitlines()) == 5
    for model in ("", "default"):
        environ = {"KENSPECKLE_MODELS_NAME": model}
        done = run("identify", "photo.png", "--index", "old.npz", "--offline", env=environ)
        assert (done.returncode, done.stdout) == (1, "")
        assert "clip-vit-b-32" in done.stderr.splitlines()[-1]
        assert "512 columns" in done.stderr.splitlines()[-1]
        assert "kenspeckle index PICTURES --out FILE" in done.stderr.splitlines()[-1]
        assert ("is taken for one" in done.stderr) is (model == "")
    assert run("import", "old.npz", "--out", "new.ken").returncode == 0
    assert run("export", "back.npz", "--index", "new.ken").returncode == 0
    with np.load(tmp_path / "back.npz", allow_pickle=False) as file:
        assert np.allclose(file["embeddings"], unit(5), atol=1e-3)
        assert list(file["names"])[3] == "Card 3 Pscr"
    done = run("export", "back.npz", "--index", "new.ken")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("model", ["", "default", "fast", "dummy"])
def test_no_built_in_model_answers_for_an_index_that_names_none(run, tmp_path, drawn, model):
    """384 columns are the built-in model's width as well; that makes it no index of that model."""
    former_npz(tmp_path / "old.npz", unit(5, 384))
    drawn(1).save(tmp_path / "photo.png")
    environ = {"KENSPECKLE_MODELS_NAME": ""}
    words = ["--model", model] if model else []
    done = run("identify", "photo.png", "--index", "old.npz", *words, env=environ)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("old.npz: it names no model")
    assert "384 columns" in done.stderr
    assert "kenspeckle index PICTURES --out FILE" in done.stderr


def test_a_former_index_of_a_head_asks_for_the_head(run, tmp_path, drawn):
    former_npz(tmp_path / "old.npz", unit(5, 256))
    drawn(1).save(tmp_path / "photo.png")
    done = run("identify", "photo.png", "--index", "old.npz", env={"KENSPECKLE_MODELS_NAME": ""})
    assert (done.returncode, done.stdout) == (1, "")
    said = done.stderr.splitlines()[-1]
    for part in ("256 columns", "clip-vit-b-32", "--projection", "kenspeckle index PICTURES"):
        assert part in said


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_a_crafted_index_is_refused_unexecuted(run, tmp_path):
    mark = tmp_path / "executed"
    names = np.empty(2, dtype=object)
    names[:] = [Payload(mark), "b"]
    np.savez(tmp_path / "bad.npz", embeddings=unit(2), names=names, filenames=np.array(["a", "b"]))
    assert b"Path" in pickle.dumps(Payload(mark))
    for command in ("info", "list", "verify"):
        done = run(command, "--index", "bad.npz")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
    assert not mark.exists()


def test_the_environment_of_the_former_system_counts(run, cards, tmp_path):
    environ = {"REFS_DIR": str(cards), "CARD_INDEX": "mine.npz"}
    done = run("index", "--no-calibrate", env=environ)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine.npz").is_file()
    assert run("verify", env=environ).returncode == 0


def test_an_alpha_and_a_rotated_photo_are_read_as_people_see_them(run, cards, tmp_path, drawn):
    assert run("index", "--refs", cards, "--no-calibrate").returncode == 0
    upright = drawn(200)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    answer = json.loads(run("identify", "turned.png", "--json").stdout)
    assert answer["label"] == "Dark Magician"
    assert answer["similarity"] > 0.999


def test_verify_names_rows_that_no_other_command_takes(run, tmp_path):
    rows = unit(6)
    rows[2] *= 3
    rows[4] = np.nan
    names = np.array([f"Card {n}" for n in range(6)])
    np.savez(tmp_path / "odd.npz", embeddings=rows, names=names, filenames=names)
    assert "odd.npz" in run("list", "--index", "odd.npz").stderr
    done = run("verify", "--index", "odd.npz")
    assert done.returncode == 1
    assert "1 rows with values that are not finite numbers: Card 4" in done.stdout
    assert "1 rows that are not of length 1: Card 2" in done.stdout
    assert "next: kenspeckle index PICTURES --out odd.new.npz  (2 rows" in done.stdout
