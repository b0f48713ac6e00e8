"""Two `kenspeckle index` runs on one index at the same time: one after the other, never a mix."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kenspeckle.errors import IndexMissing
from kenspeckle.store import open_store, peek

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = 40

Start = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture(params=["gallery.ken", "gallery.npz"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


@pytest.fixture
def start(index: Path) -> Iterator[Start]:
    """Start a run of a folder into the index; what still runs in the end is ended."""
    runs: list[subprocess.Popen[str]] = []

    def run(folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "kenspeckle", "index", str(folder), "--out", str(index)]
        command += ["--model", "dummy", "--no-calibrate"]
        pipe = subprocess.PIPE
        runs.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        return runs[-1]

    yield run
    for one in runs:
        one.kill()
        one.communicate()


@pytest.fixture
def folders(tmp_path: Path, drawn: Callable[..., Image]) -> list[Path]:
    made = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        for n in range(PICTURES):
            drawn(1000 * ord(name) + n).save(folder / f"{name}{n}.png")
        made.append(folder)
    return made


def once_locked(index: Path, run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not _named(Path(f"{index}.lock")):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _named(lock: Path) -> bool:
    """Whether it is held: a holder writes its name into it."""
    try:
        return lock.stat().st_size > 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_second_run_finds_what_the_first_has_made(
    index: Path, start: Start, folders: list[Path]
) -> None:
    first = start(folders[0])
    once_locked(index, first)
    os.kill(first.pid, signal.SIGSTOP)
    second, third = start(folders[1]), start(folders[0])
    time.sleep(1.0)
    assert second.poll() is third.poll() is None
    os.kill(first.pid, signal.SIGCONT)
    _, said = first.communicate(timeout=120)
    assert first.returncode == 0, said
    for other in (second, third):
        _, told = other.communicate(timeout=120)
        assert "Traceback" not in told
    assert second.returncode != 0
    with open_store(index) as store:
        assert {one.path for _, one in store.references()} == {f"a{n}.png" for n in range(PICTURES)}
    assert peek(index).vectors == PICTURES


@pytest.mark.slow
def test_a_run_that_waits_in_vain_names_the_other(
    index: Path, start: Start, folders: list[Path]
) -> None:
    first = start(folders[0])
    _, said = first.communicate(timeout=120)
    assert first.returncode == 0, said
    with open_store(index, write=True):
        second = start(folders[1])
        _, told = second.communicate(timeout=120)
        assert second.returncode != 0
        assert f"process {os.getpid()}" in told
    assert peek(index).vectors == PICTURES


def test_a_run_that_came_to_nothing_leaves_nothing(
    tmp_path: Path, start: Start, index: Path, folders: list[Path]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "broken.jpg").write_bytes(b"no picture")
    run = start(empty)
    _, told = run.communicate(timeout=120)
    assert run.returncode != 0
    assert not index.exists(), told
    with pytest.raises(IndexMissing):
        peek(index)
    assert not Path(f"{index}.lock").exists()
