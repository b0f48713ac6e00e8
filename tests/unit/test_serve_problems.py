"""What a stranger is told of an error: no folders, requests in place of commands, what is wrong."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from kenspeckle.errors import CatalogError, GalleryError, IndexCorrupt, KenspeckleError, NotEnrolled
from kenspeckle.serve.problems import told
from kenspeckle.store.open import open_store


@pytest.mark.parametrize("here", ["", "ix/", "./ix/", "../ix/", "/srv/ix/"])
def test_of_a_file_of_this_machine_the_name_alone_is_told(here: str) -> None:
    error = IndexCorrupt(Path(f"{here}s.ken"), "neither an index nor an .npz")
    assert told(error) == "s.ken: neither an index nor an .npz"
    assert told(pickle.loads(pickle.dumps(error))) == told(error)


@pytest.mark.parametrize("key", ["a/b", "sets/2024/mug", "a/b.ken"])
def test_a_key_with_slashes_is_told_whole(key: str) -> None:
    assert told(NotEnrolled(key, "no such item")) == f"{key}: no such item"
    assert told(GalleryError(key, "the key of another item")).startswith(f"{key}: ")


def test_of_a_table_of_references_the_name_and_the_line_are_told() -> None:
    assert told(CatalogError("data/refs.csv, line 4", "2 cells")) == "refs.csv, line 4: 2 cells"


@pytest.mark.parametrize("content", [None, b"", b"no index" * 100])
def test_what_a_store_says_of_its_file_is_known_to_be_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ix").mkdir()
    if content is not None:
        Path("ix/s.ken").write_bytes(content)
    with pytest.raises(KenspeckleError) as raised:
        open_store("ix/s.ken")
    assert str(raised.value).startswith("ix/s.ken: ")
    assert told(raised.value).startswith("s.ken: ")
