"""The npz form: the former system's files, hostile ones, and ours for old readers."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kenspeckle.errors import (
    GalleryError,
    IndexBusy,
    IndexCorrupt,
    IndexReadOnly,
    IndexVersion,
    UnsafeFile,
)
from kenspeckle.store import Enrolled, Manifest, create_store, npz, open_store, peek
from kenspeckle.types import Fingerprint, Recipe, Reference

Saver = Callable[..., None]

NAMES = ["Dark Magician Pscr", "Böse\u2019s \U0001f600", ""]
FILES = ["LOCH-JP001_dark_magician_pscr.jpg", "x y#%.png", "LOCH-JP001_.jpg"]


def unit(count: int, width: int = 512, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def original(path: Path, rows: np.ndarray, **others: list[str]) -> Path:
    """A file as the former system writes it: text as objects, which numpy pickles."""
    arrays = {name: np.array(texts, dtype=object) for name, texts in others.items()}
    np.savez(path, embeddings=rows, **arrays)
    return path


def member(data: bytes, shape: str = "(3,)", kind: str = "|O") -> bytes:
    """A `.npy` member: a header of our choice, and bytes after it."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def zipped(path: Path, members: dict[str, bytes], *, packed: bool = False) -> Path:
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def plain(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def test_the_former_systems_file_opens(tmp_path: Path) -> None:
    rows = unit(3)
    path = original(tmp_path / "x.npz", rows, names=NAMES, filenames=FILES)
    with open_store(path) as store:
        found = [one for _, one in store.references()]
        assert sorted(one.filename for one in found) == sorted(FILES)
        assert {one.metadata["stored_name"] for one in found} == set(NAMES)
        assert store.rows().tolist() == rows.tolist()
        assert store.manifest.fingerprint.model == "clip-vit-b-32"
        assert store.manifest.fingerprint.weights == ""
        assert store.manifest.naming == "cards"
        assert store.search(rows[1:2], 1).ids[0, 0] == 2
    summary = peek(path)
    assert (summary.kind, summary.format, summary.vectors) == ("npz", 0, 3)
    assert summary.manifest == store.manifest


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_both_names_of_the_arrays_module_are_read(
    tmp_path: Path, protocol: int, module: bytes
) -> None:
    path = zipped(
        tmp_path / "x.npz",
        {"embeddings": plain(unit(3)), "names": member(with_module(module, protocol))},
    )
    assert npz.read_table(path).names == NAMES


def with_module(module: bytes, protocol: int) -> bytes:
    """The names pickled by a numpy whose module of arrays has that name."""
    pickled = pickle.dumps(np.array(NAMES, object), protocol)
    now = b"numpy._core.multiarray"
    assert now in pickled
    if protocol == 3:
        return pickled.replace(now, module)
    shorter = len(now) - len(module)  # text has its length before it, and the frame has too
    pickled = pickled.replace(bytes([len(now)]) + now, bytes([len(module)]) + module)
    frame = int.from_bytes(pickled[3:11], "little") - shorter
    return pickled[:3] + frame.to_bytes(8, "little") + pickled[11:]


def test_names_are_made_by_the_caller(tmp_path: Path) -> None:
    path = original(tmp_path / "x.npz", unit(3), names=NAMES, filenames=FILES)

    def named(name: str, filename: str) -> Reference:
        return Reference(name.lower(), name[:4], filename, variant=name[-4:])

    with open_store(path, named=named) as store:
        assert store.items()[1].key == "böse\u2019s \U0001f600"
        assert store.get([1])[0].variant == "Pscr"
        assert store.get([1])[0].metadata["stored_name"] == NAMES[0]


def test_file_names_may_be_missing_or_alike(tmp_path: Path) -> None:
    with open_store(original(tmp_path / "a.npz", unit(3), names=NAMES)) as store:
        assert len({one.path for _, one in store.references()}) == 3
    path = original(tmp_path / "b.npz", unit(3), names=NAMES, filenames=["a.jpg"] * 3)
    with open_store(path) as store:
        assert {one.path for _, one in store.references()} == {"a.jpg", "a.jpg#1", "a.jpg#2"}


@pytest.mark.parametrize(
    ("width", "model", "head"), [(256, "clip-vit-b-32", "unknown"), (7, "unknown", "")]
)
def test_the_width_tells_what_it_can(tmp_path: Path, width: int, model: str, head: str) -> None:
    path = original(tmp_path / "x.npz", unit(3, width), names=NAMES)
    found = peek(path).manifest.fingerprint
    assert (found.model, found.head, found.width, found.weights) == (model, head, width, "")


class Evil:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: np.array([e, "b", "c"], object)])
@pytest.mark.parametrize("name", ["names", "filenames"])
def test_a_foreign_pickle_is_not_executed(tmp_path: Path, wrap: object, name: str) -> None:
    mark = tmp_path / "executed"
    pickled = member(pickle.dumps(wrap(Evil(mark))))  # type: ignore[operator]
    members = {"embeddings": plain(unit(3)), "names": plain(np.array(NAMES)), name: pickled}
    path = zipped(tmp_path / "x.npz", members)
    with pytest.raises(UnsafeFile, match=r"mkdir"):
        open_store(path)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["embeddings", "kenspeckle"])
def test_only_names_may_be_objects(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "executed"
    members = {"embeddings": plain(unit(3)), "names": plain(np.array(NAMES))}
    path = zipped(tmp_path / "x.npz", {**members, name: member(pickle.dumps(Evil(mark)))})
    for call in (open_store, peek):
        with pytest.raises(GalleryError):
            call(path)
    assert not mark.exists()


OTHERS = [["a", "b"], [1, 2, 3], ["a", b"b", "c"], [["a"], "b", "c"]]


@pytest.mark.parametrize("elements", OTHERS)
def test_an_object_array_of_anything_but_text_is_refused(
    tmp_path: Path, elements: list[object]
) -> None:
    array = np.empty(len(elements), object)
    array[:] = elements
    pickled = member(pickle.dumps(array))
    path = zipped(tmp_path / "x.npz", {"embeddings": plain(unit(3)), "names": pickled})
    with pytest.raises(UnsafeFile):
        open_store(path)


BAD = {
    "no embeddings": {"names": plain(np.array(NAMES))},
    "no names": {"embeddings": plain(unit(3))},
    "fewer names": {"embeddings": plain(unit(3)), "names": plain(np.array(NAMES[:2]))},
    "numbers as names": {"embeddings": plain(unit(3)), "names": plain(np.arange(3))},
    "one row": {"embeddings": plain(unit(3)[0]), "names": plain(np.array(NAMES))},
    "whole numbers": {"embeddings": plain(np.ones((3, 4), int)), "names": plain(np.array(NAMES))},
    "a huge shape": {
        "embeddings": member(b"\0" * 64, "(3, 60000)", "<f4"),
        "names": plain(np.array(NAMES)),
    },
    "a shape beyond memory": {
        "embeddings": member(b"\0" * 64, f"({2**40}, 512)", "<f4"),
        "names": member(b"\0" * 64, f"({2**40},)", "<U9"),
    },
    "a negative shape": {"embeddings": member(b"", "(-3, 5)", "<f4"), "names": b""},
    "a shape of text": {"embeddings": member(b"", "('a', 5)", "<f4"), "names": b""},
    "a header that is code": {"embeddings": member(b"", "__import__('os')", "<f4"), "names": b""},
    "no header": {"embeddings": b"hello", "names": b""},
    "an empty member": {"embeddings": b"", "names": b""},
    "no Unicode": {
        "embeddings": plain(unit(3)),
        "names": member(b"\xff" * 12, "(3,)", "<U1"),
    },
    "bad JSON": {
        "embeddings": plain(unit(3)),
        "names": plain(np.array(NAMES)),
        "kenspeckle": plain(np.frombuffer(b"{", np.uint8)),
    },
    "deep JSON": {
        "embeddings": plain(unit(3)),
        "names": plain(np.array(NAMES)),
        "kenspeckle": plain(np.frombuffer(b"[" * 100_000, np.uint8)),
    },
    "half a member": {
        "embeddings": plain(unit(3)),
        "names": plain(np.array(NAMES)),
        "kenspeckle": plain(np.frombuffer(b'{"format": 1}', np.uint8)),
    },
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_refused(tmp_path: Path, case: str) -> None:
    path = zipped(tmp_path / "x.npz", BAD[case])
    with pytest.raises(IndexCorrupt):
        open_store(path)


@pytest.mark.parametrize("kind", ["U0", "S0", "V0"])
def test_text_of_no_width_is_refused(tmp_path: Path, kind: str) -> None:
    """Any number of them needs no bytes, and makes a list of that many."""
    many = 2**40
    none = {
        "embeddings": member(b"", f"({many}, 512)", f"<{kind}"),
        "names": member(b"", f"({many},)", f"<{kind}"),
    }
    names = none | {"embeddings": member(b"", f"({many}, 512)", "<f4")}
    whole = none | {"embeddings": plain(unit(3)), "names": member(b"", "(3,)", f"<{kind}")}
    for members in (none, names, whole):
        path = zipped(tmp_path / "x.npz", members)
        for call in (open_store, peek):
            with pytest.raises(IndexCorrupt):
                call(path)


@pytest.mark.parametrize("shape", ["(3, 512)", "(300000, 5)", "(2, 5)"])
def test_a_peek_compares_vectors_with_their_bytes(tmp_path: Path, shape: str) -> None:
    names = plain(np.array(NAMES))
    members = {"embeddings": member(unit(3, 5).tobytes(), shape, "<f4"), "names": names}
    for call in (open_store, peek):
        with pytest.raises(IndexCorrupt, match="60 bytes where"):
            call(zipped(tmp_path / "x.npz", members))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = member(bytes(40 * 1024 * 1024), f"({40 * 1024 * 1024},)", "|u1")
    members = {"embeddings": plain(unit(3)), "names": plain(np.array(NAMES)), "kenspeckle": bomb}
    path = zipped(tmp_path / "x.npz", members, packed=True)
    assert path.stat().st_size < 10**6
    with pytest.raises(IndexCorrupt, match="unpack"):
        open_store(path)


def test_a_packing_that_numpy_does_not_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("embeddings.npy", plain(unit(3)))
    with pytest.raises(IndexCorrupt, match="packed"):
        open_store(path)


def test_compressed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, embeddings=unit(200), names=np.array(["Name"] * 200, object))
    with open_store(path) as store:
        assert len(store) == 200


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 3.0, 3e38])
def test_rows_that_are_not_unit_are_named(tmp_path: Path, wrong: float) -> None:
    rows = unit(3)
    rows[1, 4] = wrong
    path = original(tmp_path / "x.npz", rows, names=NAMES)
    with pytest.raises(IndexCorrupt, match=r"row 1 \(Böse"):
        open_store(path)
    assert npz.read_table(path).rows.shape == (3, 512)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_any_damage_is_an_error_of_ours_or_harmless(tmp_path: Path, save: Saver) -> None:
    path = tmp_path / "x.npz"
    save(path, embeddings=unit(3, 8), names=np.array(NAMES, object))
    whole, draw = path.read_bytes(), np.random.default_rng(5)
    for _ in range(300):
        bad = bytearray(whole)
        for place in draw.integers(0, len(bad), 6):
            bad[place] = draw.integers(256)
        path.write_bytes(bytes(bad))
        with contextlib.suppress(GalleryError, UnsafeFile):
            open_store(path).close()


MANIFEST = Manifest(Fingerprint("m", "ab", Recipe(32), 16), "cards")
GIVEN = [
    Enrolled(
        Reference(
            "dark magician",
            "Dark Magician",
            "sub/LOCH-JP001_dark_magician_pscr.jpg",
            variant="PScR",
            metadata={"stored_name": "Dark Magician Pscr"},
        ),
        unit(1, 16)[0],
        b"thumb",
    ),
    Enrolled(Reference("mug", "Mug", "mug.jpg", variant="blue"), unit(1, 16, 1)[0]),
    Enrolled(Reference("mug", "Mug", "mug.jpg", variant="blue", view="1"), unit(1, 16, 2)[0]),
]


def test_old_readers_read_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with create_store(path, MANIFEST) as store:
        store.add(GIVEN)
        assert not path.exists()
    with np.load(path, allow_pickle=False) as found:
        assert found["embeddings"].dtype == np.float32
        assert found["embeddings"].shape == (3, 16)
        assert np.allclose(np.linalg.norm(found["embeddings"], axis=1), 1, atol=1e-6)
        assert found["names"].tolist() == ["Mug blue", "Mug blue", "Dark Magician Pscr"]
        assert found["filenames"].tolist()[-1] == "LOCH-JP001_dark_magician_pscr.jpg"
    assert [one.name for one in tmp_path.iterdir()] == ["x.npz"]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    newer = plain(np.frombuffer(b'{"format": 9}', np.uint8))
    members = {"embeddings": plain(unit(3)), "names": plain(np.array(NAMES)), "kenspeckle": newer}
    path = zipped(tmp_path / "x.npz", members)
    for call in (open_store, peek):
        with pytest.raises(IndexVersion, match="format 9"):
            call(path)


def test_a_file_replaced_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with create_store(path, MANIFEST) as store:
        store.add(GIVEN[:1])
    contents = npz.read(path)
    writer = open_store(path, write=True)
    with pytest.raises(IndexBusy, match=f"this process .{os.getpid()}"):
        open_store(path, write=True, wait=0.1)
    writer.add(GIVEN[2:])
    more = replace(GIVEN[0].reference, path="mug.jpg")
    rows = np.concatenate([contents.rows, contents.rows])
    references = [*contents.references, more]
    npz.write(path, replace(contents, rows=rows, references=references, ids=[1, 2]))
    for _ in range(2):
        with pytest.raises(IndexBusy, match="replaced it"):
            writer.close()
    assert [one.name for one in tmp_path.iterdir()] == ["x.npz"]
    with open_store(path) as store:
        assert next(store.references())[1].path == "mug.jpg"
        assert len(store) == 2


def test_a_file_that_was_only_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    create_store(path, MANIFEST).close()
    before = path.stat().st_ino
    with open_store(path, write=True) as store:
        store.search(unit(1, 16), 1)
    assert path.stat().st_ino == before


def test_a_write_that_fails_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.npz"
    create_store(path, MANIFEST).close()
    before = path.read_bytes()
    store = open_store(path, write=True)
    store.add(GIVEN)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(IndexReadOnly, match="No space left"):
            store.close()
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["x.npz"]
    store.close()
    assert peek(path).vectors == 3


def test_what_ours_says_must_agree_with_its_arrays(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with create_store(path, MANIFEST) as store:
        store.add(GIVEN)
    contents = npz.read(path)
    for wrong in (
        replace(contents, references=contents.references[:2]),
        replace(contents, references=[contents.references[0]] * 3),
        replace(contents, ids=[1, 1, 2]),
        replace(contents, ids=[0, 1, 2]),
        replace(contents, manifest=Manifest(Fingerprint("m", "ab", Recipe(32), 17))),
    ):
        npz.write(path, wrong)
        with pytest.raises(IndexCorrupt):
            open_store(path)


def test_what_killed_processes_left_is_erased_after_a_day(tmp_path: Path) -> None:
    old, new = (tmp_path / f".x[1].npz.{name}.new" for name in ("old", "new"))
    for left in (old, new):
        left.write_bytes(b"half")
    os.utime(old, (1, 1))
    create_store(tmp_path / "x[1].npz", MANIFEST).close()
    assert {one.name for one in tmp_path.iterdir()} == {new.name, "x[1].npz"}
