"""What runs the networks tells nobody that it does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kenspeckle import _runtime

PRODUCT = (
    "import numpy as np; from kenspeckle.store.int8_product import Int8Product; "
    "Int8Product(np.ones((8, 8), np.int8))"
)
MODEL = (
    "from kenspeckle.config import ModelSettings; "
    "from kenspeckle.vectors.embed import open_embedder; open_embedder(ModelSettings()).device"
)


@pytest.mark.parametrize("work", [PRODUCT, MODEL], ids=["product", "model"])
def test_nothing_is_noted_for_its_maker(tmp_path: Path, work: str) -> None:
    told = {k: v for k, v in os.environ.items() if k not in (_runtime.SWITCH, "XDG_CACHE_HOME")}
    subprocess.run([sys.executable, "-c", work], env={**told, "HOME": str(tmp_path)}, check=True)
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name] == []


def test_the_users_word_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_runtime.SWITCH, "0")
    _runtime.silence()
    assert os.environ[_runtime.SWITCH] == "0"
    monkeypatch.delenv(_runtime.SWITCH)
    _runtime.silence()
    assert os.environ.pop(_runtime.SWITCH) == "1"
