"""`kill -9` at fifty random moments of an `index` run: nothing acknowledged is lost, it resumes.

Acknowledged is what another process has seen in the index before the kill. Between the runs the
folder changes (pictures added, redrawn, renamed, removed), so that every run has all kinds of work.
"""

from __future__ import annotations

import io
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kenspeckle.config import ModelSettings
from kenspeckle.errors import IndexMissing
from kenspeckle.image.decode import decode
from kenspeckle.store import open_store
from kenspeckle.types import Reference
from kenspeckle.vectors.embed import open_embedder

KILLS, PICTURES, SEED = 50, 120, 11
SMALL_COMMITS = """
from kenspeckle.flows import index
index.COMMIT_ROWS = 8
from kenspeckle.cli.main import main
main()
"""
"""The command as it is, but for commits small enough to be hit between and within."""

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")

Row = tuple[str, str]  # path and sha256


class Folder:
    """A folder of drawn pictures that changes by a seed."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.random, self.count = path, random.Random(seed), 0
        path.mkdir()

    def draw(self, name: str = "") -> None:
        """Write a new picture, or another one under an old name."""
        self.count += 1
        rng = np.random.default_rng((SEED, self.count))
        coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        picture.save(file, "JPEG")
        (self.path / (name or f"thing-{self.count:04d}.jpg")).write_bytes(file.getvalue())

    def change(self) -> None:
        """Add, redraw, rename and remove some."""
        for _ in range(40):
            self.draw()
        names = sorted(path.name for path in self.path.iterdir())
        chosen = self.random.sample(names, 100)
        for name in chosen[:40]:
            self.draw(name)
        for name in chosen[40:60]:
            self.count += 1
            (self.path / name).rename(self.path / f"renamed-{self.count:04d}.jpg")
        for name in chosen[60:]:
            (self.path / name).unlink()


class Truth:
    """The vector of any picture, by its hash, as a run without kills would store it."""

    def __init__(self) -> None:
        self.embedder = open_embedder(ModelSettings(name="dummy"))
        self.vectors: dict[str, np.ndarray] = {}

    def learn(self, folder: Path) -> set[Row]:
        """Embed what is new in the folder; what a whole run would hold."""
        held = set()
        for path in sorted(folder.iterdir()):
            picture = decode(path)
            if picture.sha256 not in self.vectors:
                self.vectors[picture.sha256] = self.embedder.vector(picture.image)
            held.add((path.name, picture.sha256))
        return held

    def check(self, index: Path) -> set[Row]:
        """Open the index: every row has the vector of its picture. What it holds."""
        with open_store(index) as store:
            rows = list(store.references())
            vectors = store.rows([number for number, _ in rows])
            for (_, reference), vector in zip(rows, vectors, strict=True):
                cosine = float(vector @ self.vectors[reference.sha256])
                assert cosine > 0.999, f"{reference.path} has the vector of something else"
            return {(reference.path, reference.sha256) for _, reference in rows}


def start(folder: Path, index: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SMALL_COMMITS, "index", str(folder), "--out", str(index)]
    command += ["--model", "dummy", "--no-calibrate"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def going(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the run has not ended after so long."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def at_work(process: subprocess.Popen[bytes], index: Path, before: set[Row]) -> bool:
    """Wait for something new in the index; whether the run goes on then. Most of a short run is
    its start, so that chance alone seldom meets it at work."""
    while process.poll() is None:
        if seen(index) - before:
            return process.poll() is None
        time.sleep(0.002)
    return False


def finish(folder: Path, index: Path) -> float:
    """A whole run; its seconds."""
    began = time.monotonic()
    process = start(folder, index)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()
    return time.monotonic() - began


def seen(index: Path) -> set[Row]:
    """What a reader sees at this moment; nothing while there is no file yet."""
    try:
        with open_store(index) as store:
            return {(reference.path, reference.sha256) for _, reference in store.references()}
    except IndexMissing:
        return set()


def rows_of(index: Path) -> list[tuple[Reference, bytes]]:
    with open_store(index) as store:
        rows = list(store.references())
        vectors = store.rows([number for number, _ in rows])
        return [(one, row.tobytes()) for (_, one), row in zip(rows, vectors, strict=True)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fifty_kills(tmp_path: Path) -> None:
    folder, index = Folder(tmp_path / "pictures", SEED), tmp_path / "gallery.ken"
    for _ in range(PICTURES):
        folder.draw()
    truth, moment = Truth(), random.Random(SEED)
    wanted = truth.learn(folder.path)
    whole = finish(folder.path, tmp_path / "measured.ken")
    kills = midst = 0
    began = time.monotonic()
    while kills < KILLS:
        assert time.monotonic() - began < 1100, f"only {kills} kills"
        before = seen(index)
        process, since = start(folder.path, index), time.monotonic()
        chance = moment.uniform(0.1, 1.0) * whole
        if going(process, chance) if kills % 2 else at_work(process, index, before):
            acknowledged = seen(index)
            process.send_signal(signal.SIGKILL)
            kills += 1
        else:
            acknowledged, whole = wanted, time.monotonic() - since
        _, said = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said.decode()
        held = truth.check(index) if index.exists() else set()
        lost = ((before | acknowledged) & wanted) - held
        assert not lost, f"kill {kills}: {sorted(lost)[:3]} had been seen and is gone"
        assert len(held) == len({path for path, _ in held})
        assert held <= before | wanted, "something that neither run nor folder knows"
        midst += not held >= wanted and bool(held - before)
        if held >= wanted:
            folder.change()
            wanted = truth.learn(folder.path)
    assert midst >= KILLS // 10, "hardly a run was cut off in the midst of its work"

    finish(folder.path, index)
    finish(folder.path, tmp_path / "clean.ken")
    assert truth.check(index) == wanted
    assert rows_of(index) == rows_of(tmp_path / "clean.ken")


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    folder, index = Folder(tmp_path / "pictures", SEED), tmp_path / "gallery.ken"
    for _ in range(60):
        folder.draw()
    process = start(folder.path, index)
    deadline = time.monotonic() + 120
    while process.poll() is None and not seen(index) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    truth = Truth()
    wanted = truth.learn(folder.path)
    kept = truth.check(index)
    assert kept
    assert kept <= wanted
    command = [sys.executable, "-m", "kenspeckle", "index", str(folder.path), "--out", str(index)]
    command += ["--model", "dummy", "--no-calibrate"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert truth.check(index) == wanted
    assert f"{len(wanted) - len(kept)} added" in done.stdout
    assert f"{len(kept)} unchanged" in done.stdout
