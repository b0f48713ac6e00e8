"""Where an index is written: through links, with the permissions it has, on a disk that is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stored import MANIFEST, enrolled

from kenspeckle.errors import GalleryError, IndexReadOnly
from kenspeckle.store import create_store, open_store
from kenspeckle.store.open import copy_store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
KINDS = pytest.mark.parametrize("suffix", [".ken", ".npz"])


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a disk that has no more."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@KINDS
def test_a_change_goes_through_a_link_and_keeps_permissions(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / f"real{suffix}", tmp_path / f"link{suffix}"
    with create_store(real, MANIFEST) as store:
        store.add(enrolled(3))
    real.chmod(0o600)
    link.symlink_to(real)
    with open_store(link, write=True) as store:
        store.add(enrolled(2, prefix="more/"))
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    with open_store(real) as store:
        assert len(store) == 5
    assert [one.name for one in real.parent.iterdir()] == [real.name]


@KINDS
def test_a_link_to_nothing_is_said_to_be_one(tmp_path: Path, suffix: str) -> None:
    link, source = tmp_path / f"dl{suffix}", tmp_path / "g.ken"
    link.symlink_to("nowhere.ken")
    with create_store(source, MANIFEST) as store:
        with pytest.raises(GalleryError, match=r"a link to 'nowhere\.ken', where there is no file"):
            copy_store(store, link)
        with pytest.raises(GalleryError, match=r"a link to 'nowhere\.ken', where there is no file"):
            create_store(link, MANIFEST)
    assert link.is_symlink()
    assert {one.name for one in tmp_path.iterdir()} == {link.name, "g.ken"}


@KINDS
def test_a_copy_on_a_full_disk_names_the_file_that_was_asked_for(
    tmp_path: Path, suffix: str
) -> None:
    (tmp_path / "out").mkdir()
    copy = tmp_path / "out" / f"copy{suffix}"
    with create_store(tmp_path / "g.ken", MANIFEST) as store:
        store.add(enrolled(2000))
        with room(100_000), pytest.raises(IndexReadOnly) as raised:
            copy_store(store, copy)
    assert raised.value.thing == str(copy)
    said = str(raised.value)
    assert "nothing of it was left" in said
    assert "kept" not in said
    assert ".new" not in said
    assert list(copy.parent.iterdir()) == []


def test_an_npz_that_cannot_be_written_speaks_of_an_old_one_where_there_is_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.npz"
    store = create_store(path, MANIFEST)
    store.add(enrolled(200))
    with room(1000), pytest.raises(IndexReadOnly) as raised:
        store.close()
    assert raised.value.do == ""
    store.close()
    store = open_store(path, write=True)
    store.add(enrolled(2, prefix="more/"))
    with room(1000), pytest.raises(IndexReadOnly, match="The old one is kept"):
        store.close()
    store.close()
