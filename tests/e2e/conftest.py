"""The real command in a clean place, and pictures drawn in code."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def draw(seed: int, side: int = 240) -> Image.Image:
    """A picture that no other seed gives: shapes in colours on a ground."""
    choose = random.Random(seed)
    image = Image.new("RGB", (side, side), tuple(choose.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(14):
        x, y = choose.randrange(side - 40), choose.randrange(side - 40)
        box = (x, y, x + choose.randrange(20, 100), y + choose.randrange(20, 100))
        colour = tuple(choose.randrange(256) for _ in range(3))
        (pen.ellipse if choose.random() < 0.5 else pen.rectangle)(box, fill=colour)
    return image


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
            timeout=120,
            **{"text": True, "encoding": "utf-8", "errors": "surrogateescape", **options},
        )

    return command


@pytest.fixture
def things(tmp_path: Path) -> Path:
    """Six drawn reference pictures."""
    folder = tmp_path / "things"
    folder.mkdir()
    for number in range(6):
        draw(number).save(folder / f"thing_{number}.png")
    return folder
