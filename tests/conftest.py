"""Fixtures that every room shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder that holds real `models/` and `data/`; skips the test when there is none."""
    named = os.environ.get("KENSPECKLE_TEST_ASSETS", "")
    folder = Path(named)
    if not named or not (folder / "models").is_dir():
        pytest.skip("KENSPECKLE_TEST_ASSETS names no folder with models/ and data/")
    return folder
