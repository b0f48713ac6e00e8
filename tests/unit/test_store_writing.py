"""Where an index is written: through links, with the permissions it has, on a disk that is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from stored import MANIFEST, enrolled

from kenspeckle.errors import GalleryError, IndexReadOnly
from kenspeckle.store import create_store, open_store
from kenspeckle.store.open import copy_store
from kenspeckle.types import Feedback

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


@contextmanager
def no_more_files() -> Iterator[None]:
    """No file can be opened any more, by whichever thread."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


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


def test_what_was_committed_counts_where_there_is_no_room_to_fold_it(tmp_path: Path) -> None:
    path = tmp_path / "g.ken"
    with create_store(path, MANIFEST) as store:
        store.add(enrolled(2000))
        photo = ("photo.jpg", "ab" * 32, "2026-01-31", "whole")
        said = store.add_feedback(Feedback("confirmed", "item0", *photo, store.rows([1])))
    log = Path(f"{path}-wal")
    with open_store(path) as store:
        with room(path.stat().st_size), store.writing():
            assert len(store.add(enrolled(90, prefix="new"), instead_of=[1])) == 90
            assert store.remove([2]) == 1
            assert store.remove_feedback(said)
            with store.one_commit():
                store.remove([3])
            assert len(store) == 2087
            assert log.stat().st_size
        assert log.stat().st_size
        assert not store.refresh()
        assert not log.stat().st_size
        with open_store(path) as other:
            assert (len(other), other.feedback()) == (2087, [])


def test_what_was_committed_counts_where_no_file_can_be_opened_any_more(tmp_path: Path) -> None:
    path = tmp_path / "g.ken"
    with create_store(path, MANIFEST) as store:
        store.add(enrolled(5))
    with open_store(path) as store:
        with ExitStack() as full, store.writing():
            store.remove([1])
            full.enter_context(no_more_files())
        assert len(list(store.references())) == len(store) == 4
        with pytest.raises(IndexReadOnly, match="opened for reading"):
            store.remove([2])
        with store.writing():
            store.remove([2])
    with open_store(path, write=True, wait=0.0) as other:
        assert len(other) == 3
