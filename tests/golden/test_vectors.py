"""Vectors of 20 drawn pictures must stay what they are: `tools/golden_vectors.py` writes them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent


def maker():
    path = ROOT / "tools" / "golden_vectors.py"
    spec = importlib.util.spec_from_file_location("golden_vectors", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("model", ["default", "fast"])
def test_vectors_are_the_stored_ones(model: str) -> None:
    tool = maker()
    with np.load(tool.FILE, allow_pickle=False) as stored:
        old = stored[model].astype(np.float32)
    now = tool.vectors(model)
    assert now.shape == old.shape == (20, 384)
    cosines = (old * now).sum(1) / np.linalg.norm(old, axis=1)
    assert cosines.min() >= 0.999
    assert (np.abs(now @ now.T - np.eye(20)) < 0.999).all()  # and they are 20 different ones
