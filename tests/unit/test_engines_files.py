"""Where model files are, whether they are the right ones, and offline bundles."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kenspeckle.config import ModelSettings
from kenspeckle.engines import bundle, files, table
from kenspeckle.engines.lock import FILE, TURN, Locked, LockedFile, read_lock, write_lock
from kenspeckle.engines.table import ModelRow
from kenspeckle.errors import KenspeckleError, ModelError, ModelMissing
from kenspeckle.vectors.embed import open_embedder, read_cohort

ROOT = Path(__file__).parent.parent.parent
CLIP = table.find("clip-vit-b-32")


@pytest.fixture
def settings(tmp_path: Path) -> ModelSettings:
    return ModelSettings(home=str(tmp_path / "home"))


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[ModelRow, Path]:
    """A row of origin `pack` and its weights: the fast model as if it were not embedded."""
    row = replace(table.find("fast"), name="fast-elsewhere", origin="pack")
    monkeypatch.setattr(table, "_ROWS", {**table._ROWS, row.name: row})
    found = tmp_path / "weights"
    found.mkdir()
    (found / "renamed.onnx").write_bytes((files.WEIGHTS / row.source).read_bytes())
    return row, found


def checkpoint(settings: ModelSettings, row: ModelRow = CLIP) -> Path:
    """The files of a pulled checkpoint with its entry in the lock; never loaded here."""
    folder = files.home(settings) / files.folder_of(row)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "clip", "projection_dim": 512}')
    (folder / "preprocessor_config.json").write_text(
        '{"size": 224, "crop_size": 224, "do_center_crop": true, '
        '"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    )
    (folder / "model.safetensors").write_bytes(b"weights")
    described = {p.name: bundle._described(p) for p in folder.iterdir()}
    write_lock(files.home(settings), row.source, Locked("c" * 40, described, "mit"))
    return folder


def test_embedded_files_are_the_ones_of_the_table() -> None:
    for row in table.MODELS:
        if row.origin == "embedded":
            checked = files.verify(row, ModelSettings())
            assert checked.wrong == ()
            assert (files.WEIGHTS / row.source).stat().st_size == row.bytes


def test_cards_lead_nowhere_outside_and_notice_repeats_the_attribution() -> None:
    notice = (files.WEIGHTS / "NOTICE").read_text(encoding="utf-8")
    assert notice in (ROOT / "NOTICE").read_text(encoding="utf-8")
    for row in table.MODELS:
        if row.card:
            card = (files.WEIGHTS / row.card).read_text(encoding="utf-8")
            assert row.sha256 in card
            assert "../" not in card
            for named in re.findall(r"`(tools/[^`]+|NOTICE)`", card):
                assert (ROOT / named).exists()


def test_what_reads_and_writes_text_brings_its_words() -> None:
    """They make no vectors, so a space is the same with and without them."""
    words = ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "generation_config.json"]
    there = ["config.json", "model.safetensors", "flax_model.msgpack", *words]
    chosen = files.checkpoint_files(there)
    assert set(chosen) == set(there) - {"flax_model.msgpack"}
    assert files.weights_of(chosen) == ["config.json", "model.safetensors"]


def test_a_damaged_weights_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = table.find("default")
    data = bytearray((files.WEIGHTS / row.source).read_bytes())
    data[-5] ^= 1
    (tmp_path / row.source).write_bytes(data)
    monkeypatch.setattr(files, "WEIGHTS", tmp_path)
    assert len(files.verify(row, ModelSettings()).wrong) == 2
    embedder = open_embedder()
    with pytest.raises(ModelError, match="sha256"):
        embedder.device  # noqa: B018
    (tmp_path / row.source).unlink()
    with pytest.raises(ModelMissing, match="Install it anew"):
        open_embedder()


def test_a_damaged_cohort_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cohort.npz").write_bytes(b"PK")
    with pytest.raises(ModelError, match="sha256"):
        read_cohort(tmp_path / "cohort.npz", ("vectors", "scale"), "0" * 64)


def test_a_checkpoint_is_known_by_its_files(settings: ModelSettings) -> None:
    folder = checkpoint(settings)
    found = files.locate(CLIP, settings)
    assert (found.width, found.recipe.fit, found.weights) == (512, "crop", folder)
    local = files.locate(table.find(str(folder)), settings)
    assert local.sha256 == found.sha256  # the same files by path are the same space
    (folder / "README.md").write_text("other words")
    assert files.locate(CLIP, settings).sha256 == found.sha256
    (folder / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(ModelError, match="kenspeckle models pull clip-vit-b-32"):
        files.locate(CLIP, settings)
    assert files.locate(table.find(str(folder)), settings).sha256 != found.sha256


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["config.json", "model.safetensors", "pytorch_model.bin", "x.msgpack"], 2),
        (["config.json", "pytorch_model.bin", "LICENSE"], 3),
        (
            [
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model-1-of-2.safetensors",
                "config.json",
            ],
            4,
        ),
    ],
)
def test_needed_files(names: list[str], chosen: int) -> None:
    assert len(files.checkpoint_files(names)) == chosen


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"version": 2}', '{"version": 1, "models": {"a": 1}}', "no json"]
)
def test_a_damaged_lock_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ModelError):
        read_lock(tmp_path)


def test_the_lock_keeps_other_models(tmp_path: Path) -> None:
    first = Locked("a", {"config.json": LockedFile("1", 2)}, "mit")
    write_lock(tmp_path, "one/model", first)
    write_lock(tmp_path, "two/model", Locked("b", {}))
    assert read_lock(tmp_path) == {"one/model": first, "two/model": Locked("b", {})}
    assert {p.name for p in tmp_path.iterdir()} == {FILE, TURN}


def test_pulls_at_the_same_time_forget_no_model(tmp_path: Path) -> None:
    def record(number: int) -> None:
        write_lock(tmp_path, f"org/model-{number}", Locked(str(number), {}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record, range(40)))
    assert {name: locked.commit for name, locked in read_lock(tmp_path).items()} == {
        f"org/model-{number}": str(number) for number in range(40)
    }


def test_a_home_that_is_no_folder_is_one_sentence(
    packed: tuple[ModelRow, Path], settings: ModelSettings, tmp_path: Path
) -> None:
    row, found = packed
    bundle.pack(tmp_path / "b.zip", [row], settings, [found])
    files.home(settings).write_bytes(b"")
    with pytest.raises(ModelError, match="no model can be put there"):
        bundle.unpack(tmp_path / "b.zip", settings, [row])


def test_pack_and_unpack_weights_found_by_hash(
    packed: tuple[ModelRow, Path], settings: ModelSettings, tmp_path: Path
) -> None:
    row, found = packed
    with pytest.raises(ModelMissing, match=r"models pull fast-elsewhere --from-pack FILE"):
        files.locate(row, settings)
    out = tmp_path / "bundle.zip"
    (entry,) = bundle.pack(out, [row], settings, [found])
    assert entry.files[row.source].sha256 == row.sha256
    with zipfile.ZipFile(out) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert b"Twemoji" in archive.read("NOTICE")
    ((_, result),) = bundle.unpack(out, settings, [row])
    assert result == "installed"
    assert files.verify(row, settings).wrong == ()
    assert files.locate(row, settings).weights.name == row.source
    assert not list(files.home(settings).glob("staged-*"))


def test_a_pulled_checkpoint_travels_with_its_lock(settings: ModelSettings, tmp_path: Path) -> None:
    checkpoint(settings)
    out = tmp_path / "bundle.zip"
    bundle.pack(out, [CLIP, table.find("default")], settings)
    there = ModelSettings(home=str(tmp_path / "there"), offline=True)
    results = {entry.name: result for entry, result in bundle.unpack(out, there)}
    assert results["efflite0-288-gem-w384"] == "in this package already"
    assert read_lock(files.home(there)) == read_lock(files.home(settings))
    assert files.locate(CLIP, there).sha256 == files.locate(CLIP, settings).sha256


def test_pack_touches_nothing_beside_its_bundle(settings: ModelSettings, tmp_path: Path) -> None:
    (tmp_path / "bundle.zip.part").write_bytes(b"a download of mine")
    bundle.pack(tmp_path / "bundle.zip", [table.find("fast")], settings)
    assert (tmp_path / "bundle.zip.part").read_bytes() == b"a download of mine"
    with pytest.raises(ModelError, match="cannot be written"):
        bundle.pack(tmp_path / "nowhere" / "bundle.zip", [table.find("fast")], settings)


def test_pack_refuses_what_it_cannot_carry(settings: ModelSettings, tmp_path: Path) -> None:
    out = tmp_path / "bundle.zip"
    for name in ("dummy", "clip", "efflite0-288-gem-w384-fp32", str(tmp_path / "mine.onnx")):
        with pytest.raises(KenspeckleError):
            bundle.pack(out, [table.find(name)], settings)
    with pytest.raises(ModelMissing, match="no such file"):
        bundle.pack(out, [table.find("default")], settings, [tmp_path / "nowhere"])
    assert list(tmp_path.iterdir()) == []


def changed(source: Path, target: Path, **members: Any) -> Path:
    """A bundle with some members replaced (None removes one), and the manifest edited."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in [*old.namelist(), *members]:
            data = members.get(name, None if name in members else old.read(name))
            if callable(data):
                data = data(old.read(name))
            if data is not None and name not in new.namelist():
                new.writestr(name, data)
    return target


def edited(**changes: Any) -> Any:
    """A function that edits the first model of a manifest."""

    def edit(data: bytes) -> bytes:
        manifest = json.loads(data)
        model = manifest["models"][0]
        first = model["files"][0]
        for key, value in changes.items():
            (first if key in first else model if key in model else manifest)[key] = value
        return json.dumps(manifest).encode()

    return edit


WEIGHTS_MEMBER = "fast-elsewhere/efflite0-gem-w384-int8.onnx"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"manifest.json": edited(path="../../evil")}, "a file"),
        ({"manifest.json": edited(path="/etc/evil")}, "a file"),
        ({"manifest.json": edited(path="..")}, "a file"),
        ({"manifest.json": edited(bytes=-1)}, "a file"),
        ({"manifest.json": edited(bytes=5)}, "bytes"),
        ({"manifest.json": edited(sha256="0" * 64)}, "other weights"),
        ({"manifest.json": edited(source="else.onnx")}, "else.onnx"),
        ({"manifest.json": edited(kenspeckle_models=2)}, "version 2"),
        ({"manifest.json": b"{}"}, "manifest"),
        ({"manifest.json": b"[" * 5000}, "manifest"),
        ({"manifest.json": None}, "manifest"),
        ({WEIGHTS_MEMBER: None}, "together"),
        ({WEIGHTS_MEMBER: None, "filler": bytes(5_000_000)}, "cannot be read"),
        ({WEIGHTS_MEMBER: b"short", "filler": bytes(5_000_000)}, "5 bytes"),
        ({WEIGHTS_MEMBER: lambda data: data[:-1] + b"!"}, "damaged"),
    ],
)
def test_a_bundle_that_lies_changes_nothing(
    packed: tuple[ModelRow, Path],
    settings: ModelSettings,
    tmp_path: Path,
    members: dict[str, Any],
    said: str,
) -> None:
    row, found = packed
    good = tmp_path / "good.zip"
    bundle.pack(good, [row], settings, [found])
    bundle.unpack(good, settings)
    before = {p: p.read_bytes() for p in files.home(settings).rglob("*") if p.is_file()}
    with pytest.raises(ModelError, match=said):
        bundle.unpack(changed(good, tmp_path / "bad.zip", **members), settings)
    after = {p: p.read_bytes() for p in files.home(settings).rglob("*") if p.is_file()}
    assert after == before
    assert {p.name for p in tmp_path.iterdir()} == {"good.zip", "bad.zip", "home", "weights"}


def with_file(number: int, name: str, data: bytes, stated: int | None = None) -> Any:
    """A function that adds a file to a model of a manifest."""

    def edit(manifest: bytes) -> bytes:
        described = json.loads(manifest)
        sha256 = hashlib.sha256(data).hexdigest()
        size = len(data) if stated is None else stated
        entry = {"path": name, "bytes": size, "sha256": sha256}
        described["models"][number]["files"].append(entry)
        return json.dumps(described).encode()

    return edit


def test_a_bundle_brings_no_file_that_the_model_does_not_need(
    packed: tuple[ModelRow, Path], settings: ModelSettings, tmp_path: Path
) -> None:
    """An adapter_config.json in a checkpoint's folder would make the loader fetch other weights."""
    row, found = packed
    checkpoint(settings)
    good = tmp_path / "good.zip"
    bundle.pack(good, [CLIP, row], settings, [found])
    there = ModelSettings(home=str(tmp_path / "there"))
    for number, wanted, name in ((0, CLIP, "adapter_config.json"), (1, row, "config.json")):
        bad = changed(
            good, tmp_path / "bad.zip", **{"manifest.json": with_file(number, name, b"{}")}
        )
        with zipfile.ZipFile(bad, "a") as archive:
            archive.writestr(f"{files.folder_of(wanted)}/{name}", b"{}")
        with pytest.raises(ModelError, match=f"{name} among the files of {wanted.name}"):
            bundle.unpack(bad, there, [wanted])
    assert len(bundle.unpack(good, there)) == 2


def test_a_bundle_cannot_hold_more_than_itself(
    packed: tuple[ModelRow, Path], settings: ModelSettings, tmp_path: Path
) -> None:
    row, found = packed
    good = tmp_path / "good.zip"
    bundle.pack(good, [row], settings, [found])
    edit = with_file(0, "more.bin", b"", 2**32)
    bad = changed(good, tmp_path / "bad.zip", **{"manifest.json": edit})
    with pytest.raises(ModelError, match=r"bytes together.*at most"):
        bundle.unpack(bad, settings)
    assert not files.home(settings).exists()


def test_a_bundle_cannot_replace_a_locked_commit(settings: ModelSettings, tmp_path: Path) -> None:
    checkpoint(settings)
    out = tmp_path / "bundle.zip"
    bundle.pack(out, [CLIP], settings)
    there = ModelSettings(home=str(tmp_path / "there"))
    other = checkpoint(there)
    (other / "model.safetensors").write_bytes(b"those pulled first")
    described = {p.name: bundle._described(p) for p in other.iterdir()}
    write_lock(files.home(there), CLIP.source, Locked("d" * 40, described))
    with pytest.raises(ModelError, match="pulled first"):
        bundle.unpack(out, there)
    assert (other / "model.safetensors").read_bytes() == b"those pulled first"


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a zip"])
def test_no_bundle(settings: ModelSettings, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "b.zip").write_bytes(data)
    with pytest.raises(ModelError):
        bundle.unpack(tmp_path / "b.zip", settings)


def test_a_name_that_is_not_in_the_bundle(settings: ModelSettings, tmp_path: Path) -> None:
    bundle.pack(tmp_path / "b.zip", [table.find("fast")], settings)
    with pytest.raises(ModelError, match="no efflite0-288-gem-w384 in it"):
        bundle.unpack(tmp_path / "b.zip", settings, [table.find("default")])
