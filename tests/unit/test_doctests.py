"""Every example in a docstring runs."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import kenspeckle

PACKAGE = Path(kenspeckle.__file__).parent


def modules_with_examples() -> list[str]:
    return sorted(
        ".".join(("kenspeckle", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in PACKAGE.rglob("*.py")
        if ">>>" in path.read_text(encoding="utf-8")
    )


def test_examples_are_found() -> None:
    assert "kenspeckle.stats.rates" in modules_with_examples()


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
