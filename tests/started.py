"""What tests of a started service share: its settings, a question, and patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx

from kenspeckle.config import ModelSettings, Settings

DUMMY = Settings(models=ModelSettings(name="dummy"))
IDENTIFY = "/v1/galleries/-/identify"


def identified(base: str, picture: Path) -> httpx.Response:
    """What a service says of a picture."""
    part = {"image": (picture.name, picture.read_bytes())}
    return httpx.post(f"{base}{IDENTIFY}", files=part, timeout=90)


def until(check: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)
