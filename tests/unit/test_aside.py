"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kenspeckle import _aside

posix_only = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with _aside.written(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.json"]


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), _aside.written(path) as file:
        file.writelines([b"half", "not bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_no_file_of_the_user_is_in_its_way(tmp_path: Path) -> None:
    for name in ("a.zip.part", ".a.zip.new", "a.zip.new"):
        (tmp_path / name).write_bytes(b"mine")
    with _aside.written(tmp_path / "a.zip"):
        pass
    assert names(tmp_path) == [".a.zip.new", "a.zip", "a.zip.new", "a.zip.part"]


def test_what_killed_processes_left_goes_after_a_day(tmp_path: Path) -> None:
    old, young, other = (
        tmp_path / f".{name}.new" for name in ("a[1].json.0", "a[1].json.1", "b.json.0")
    )
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, 0))
    with _aside.written(tmp_path / "a[1].json"):
        pass
    assert names(tmp_path) == [young.name, other.name, "a[1].json"]


def test_where_nothing_can_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"), _aside.written(tmp_path / "nowhere" / "a"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"), _aside.written(tmp_path / "folder"):
        pass
    assert names(tmp_path) == ["folder"]


@posix_only
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")
    path.chmod(mode)
    with _aside.written(path) as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == mode  # nobody reads it meanwhile either
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == mode


@posix_only
def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with _aside.written(tmp_path / "a"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


@posix_only
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(tmp_path: Path, there: bool) -> None:
    (tmp_path / "far").mkdir()
    far, link = tmp_path / "far" / "real.npz", tmp_path / "link.npz"
    if there:
        far.write_bytes(b"old")
    link.symlink_to("far/real.npz")
    with _aside.written(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert far.read_bytes() == b"new"
    assert names(tmp_path) == ["far", "link.npz"]
    assert names(tmp_path / "far") == ["real.npz"]
