"""Projection heads: both files, the arithmetic, and the heads that are refused."""

from __future__ import annotations

import json
import math
import weakref
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from kenspeckle.config import ModelSettings
from kenspeckle.errors import ModelError
from kenspeckle.vectors.embed import open_embedder
from kenspeckle.vectors.head import KEYS, LAYOUT, gelu, read_head

GOLDEN = Path(__file__).parent.parent / "golden" / "head-torch.pt"
SHAPES = ((6, 8), (6,), (4, 6), (4,))


def layers(**changed: Any) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(5)
    arrays = {
        key: random.normal(0, 0.3, shape).astype(np.float32)
        for key, shape in zip(KEYS, SHAPES, strict=True)
    }
    arrays.update(changed)
    return {key: array for key, array in arrays.items() if array is not None}


def test_gelu_is_exact() -> None:
    x = np.linspace(-9, 9, 4001).astype(np.float32)
    expected = [0.5 * float(v) * (1 + math.erf(float(v) / math.sqrt(2))) for v in x]
    assert np.abs(gelu(x) - np.array(expected)).max() < 1e-6


def test_safetensors(tmp_path: Path) -> None:
    path, arrays = tmp_path / "head.safetensors", layers()
    save_file(arrays, path, {"layout": LAYOUT, "model": "clip-vit-b-32"})
    head = read_head(path)
    assert (head.in_width, head.out_width, head.model) == (8, 4, "clip-vit-b-32")
    rows = np.eye(8, dtype=np.float32)
    hidden = gelu(rows @ arrays[KEYS[0]].T + arrays[KEYS[1]])
    out = hidden @ arrays[KEYS[2]].T + arrays[KEYS[3]]
    assert np.allclose(
        head.apply(rows), out / np.linalg.norm(out, axis=1, keepdims=True), atol=1e-6
    )


def test_checkpoint_of_the_original() -> None:
    head = read_head(GOLDEN)
    assert (head.in_width, head.out_width, head.model) == (8, 4, "ViT-B/32")
    assert len(head.sha256) == 64


@pytest.mark.torch
def test_the_same_as_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(2)
    net = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.GELU(), torch.nn.Linear(512, 256))
    state = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save(state, tmp_path / "bare.pt")
    torch.save({"state_dict": state, "model": "ViT-B/32"}, tmp_path / "whole.pt")
    x = torch.nn.functional.normalize(torch.randn(40, 512))
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(net(x)).numpy()
    for name in ("bare.pt", "whole.pt"):
        head = read_head(tmp_path / name)
        assert (head.in_width, head.out_width) == (512, 256)
        assert np.abs(head.apply(x.numpy()) - expected).max() < 1e-6


@pytest.mark.torch
def test_old_torch_format_is_refused_in_a_sentence(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "old.pt"
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match=r"torch 1\.6 or later.*save it again"):
        read_head(path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"net.2.bias": None}, "net.2.bias: not there"),
        ({"net.4.weight": np.zeros((2, 4), np.float32)}, "layers"),
        ({"net.0.bias": np.zeros(7, np.float32)}, "layers"),
        ({"net.0.bias": np.zeros((6, 1), np.float32)}, "1 dimensions"),
        ({"net.0.bias": np.zeros(6, np.int64)}, "int64"),
        ({"net.0.bias": np.full(6, np.nan, np.float32)}, "not finite"),
    ],
)
def test_other_networks_are_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    path = tmp_path / "head.safetensors"
    save_file(layers(**changed), path)
    with pytest.raises(ModelError, match=said):
        read_head(path)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    save_file(layers(), path, {"layout": "linear-relu-linear"})
    with pytest.raises(ModelError, match="linear-relu-linear"):
        read_head(path)


@pytest.mark.parametrize("data", [b"", b"not a head", b"PK\x03\x04 no zip", b"\xff" * 100])
def test_no_head_at_all(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "head.bin"
    path.write_bytes(data)
    with pytest.raises(ModelError):
        read_head(path)


def safetensors(head: Any, data: bytes = b"") -> bytes:
    """A safetensors file, its header written by hand."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + data


ROW = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (safetensors({"__metadata__": {"a": "x" * 2**20}, "w": ROW}, bytes(4)), "a header of"),
        (safetensors({"__metadata__": None, "w": ROW}, bytes(4)), "not there"),
        (safetensors({"w": {**ROW, "dtype": "F8_E4M3", "shape": [4]}}, bytes(4)), "head"),
        (safetensors({"w": {**ROW, "dtype": "BF16", "shape": [2]}}, bytes(4)), "head"),
        (safetensors(b"[" * 5000), "head"),
        (safetensors([]), "head"),
    ],
    ids=["long header", "no metadata", "float8", "bfloat16", "deep", "list"],
)
def test_headers_that_lie_are_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "head.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=said):
        read_head(path)


def test_a_checkpoint_whose_dictionary_hides_its_methods_is_read_or_refused(
    tmp_path: Path,
) -> None:
    """Attributes of an ordered dictionary may not stand before `get`, `items` and `keys`."""
    name = b"ccollections\nOrderedDict\n)R"
    hide = b"}" + b"".join(b"X%c\0\0\0%bK\x05s" % (len(n), n) for n in (b"get", b"items")) + b"b"
    path = tmp_path / "head.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("head/data.pkl", b"\x80\x02" + name + hide + b".")
    with pytest.raises(ModelError, match="not there"):
        read_head(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        read_head(tmp_path / "nothing.safetensors")


def test_a_head_must_fit_its_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a head of clip-vit-b-32"):
        open_embedder(ModelSettings(name="dummy", head=str(GOLDEN)))
    path = tmp_path / "head.safetensors"
    save_file(layers(), path)
    with pytest.raises(ModelError, match=r"8 columns.*192"):
        open_embedder(ModelSettings(name="dummy", head=str(path)))


def test_cohort_passes_through_the_head(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    wide = np.random.default_rng(0).normal(0, 0.1, (6, 384)).astype(np.float32)
    save_file(layers(**{KEYS[0]: wide}), path)
    embedder = open_embedder(ModelSettings(head=str(path)))
    assert embedder.cohort is not None
    assert embedder.cohort.shape == (2723, 4)
    assert embedder.space_id != open_embedder().space_id


def test_a_closed_model_keeps_no_cohort_and_reads_it_again() -> None:
    embedder = open_embedder()
    before = embedder.cohort
    assert before is not None
    rows, held = before.copy(), weakref.ref(before)
    del before
    embedder.close()
    assert held() is None
    assert np.array_equal(embedder.cohort, rows)
