"""The real command in a clean place, and pictures drawn in code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from drawing import draw, draw_folder
from started import DUMMY

from kenspeckle import Gallery

if TYPE_CHECKING:
    from PIL import Image


Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A run that a shell put into the background ignores Ctrl-C, and so would what it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def drawn() -> Callable[..., Image.Image]:
    return draw


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `kenspeckle` in an empty folder with none of the caller's settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KENSPECKLE_", "XDG_", "HF_"))
    }
    kept |= {"HOME": str(tmp_path / "home"), "KENSPECKLE_MODELS_NAME": "dummy"}
    kept |= {"COLUMNS": "100", "PYTHONWARNINGS": "error"}

    def command(*words: object, env: dict[str, str] | None = None, **options: object) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "kenspeckle", *map(str, words)],
            cwd=options.pop("cwd", tmp_path),  # type: ignore[call-overload]
            env={**kept, **(env or {})},
            capture_output=True,
            timeout=240,
            **{"text": True, "encoding": "utf-8", "errors": "surrogateescape", **options},
        )

    return command


@pytest.fixture
def things(tmp_path: Path) -> Path:
    """Six drawn reference pictures."""
    return draw_folder(tmp_path / "things")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `things` and `gallery.ken`, the index of them by the model `dummy`."""
    place = tmp_path_factory.mktemp("start")
    things = draw_folder(place / "things")
    with Gallery.create(place / "gallery.ken", settings=DUMMY) as gallery:
        gallery.index(things)
    return place


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Path:
    """An index of one's own."""
    return Path(shutil.copy(folder / "gallery.ken", tmp_path / "gallery.ken"))
