"""ONNX files: what runs, what is refused, and that nothing outside the file is read."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kenspeckle.config import ModelSettings
from kenspeckle.engines import files, table
from kenspeckle.engines.onnx_check import check_self_contained
from kenspeckle.engines.onnx_session import OnnxModel
from kenspeckle.errors import ModelError, UnsafeFile
from kenspeckle.vectors.admit import drawn_pictures
from kenspeckle.vectors.embed import open_embedder

onnx = pytest.importorskip("onnx")


def network(
    path: Path,
    shape: tuple[Any, ...] = ("batch", 3, 16, 16),
    *,
    out: tuple[Any, ...] | None = None,
    node: str = "ReduceMean",
    domain: str = "",
    output: str = "embedding",
) -> Path:
    """A network of two nodes: it adds a stored tensor to a picture and averages its pixels."""
    helper, types = onnx.helper, onnx.TensorProto
    bias = onnx.numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "bias")
    axes = onnx.numpy_helper.from_array(np.array([2, 3]), "axes")
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["image", "bias"], ["sum"]),
            helper.make_node(node, ["sum", "axes"], [output], keepdims=0, domain=domain),
        ],
        "net",
        [helper.make_tensor_value_info("image", types.FLOAT, shape)],
        [helper.make_tensor_value_info(output, types.FLOAT, out or (shape[0], 3))],
        [bias, axes],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("custom", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def local(path: Path, side: int = 16) -> ModelSettings:
    path.with_name(path.name + ".json").write_text(json.dumps({"side": side}))
    return ModelSettings(name=str(path), home=str(path.parent / "home"))


def test_a_file_with_a_recipe_beside_it(tmp_path: Path) -> None:
    embedder = open_embedder(local(network(tmp_path / "net.onnx")))
    rows = embedder.vectors(drawn_pictures(3))
    assert rows.shape == (3, 3)
    assert embedder.fingerprint.weights == files.file_sha256(tmp_path / "net.onnx")
    assert embedder.cohort is None


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), ("n", 3, 16, 16), ("n", 3, "h", "w")])
def test_fixed_and_free_shapes(tmp_path: Path, shape: tuple[Any, ...]) -> None:
    model = OnnxModel(network(tmp_path / "net.onnx", shape), side=16)
    batch = np.random.default_rng(0).random((4, 3, 16, 16), np.float32)
    assert np.allclose(model.run(batch), batch.mean(axis=(2, 3)) + 1, atol=1e-6)
    assert (model.width, model.side, model.device) == (3, 16, "cpu")


def test_pictures_of_another_side_are_an_error_of_ours(tmp_path: Path) -> None:
    model = OnnxModel(network(tmp_path / "net.onnx"))
    with pytest.raises(ModelError, match="the network failed"):
        model.run(np.zeros((1, 3, 20, 20), np.float32))


def test_width_that_the_file_leaves_open(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", out=("batch", "features"))
    assert OnnxModel(path).width == 3
    assert open_embedder(local(path)).width == 3


@pytest.mark.parametrize(
    ("options", "side", "said"),
    [
        ({"shape": ("n", 16, 16, 3)}, 0, "one float32 input"),
        ({"shape": ("n", 3, 16, 20)}, 0, "a square"),
        ({"shape": ("n", 3, 16, 16)}, 32, "32 × 32"),
        ({"shape": ("n", 3, "h", "w")}, 0, "its side is open"),
        ({"out": ("n", 3, 1)}, 0, "ONNX Runtime refuses|one row"),
        ({"node": "Unknown", "domain": "custom"}, 0, "ONNX Runtime refuses"),
    ],
)
def test_other_networks_are_refused(
    tmp_path: Path, options: dict[str, Any], side: int, said: str
) -> None:
    path = network(tmp_path / "net.onnx", **options)
    with pytest.raises(ModelError, match=said):
        OnnxModel(path, side=side)


def test_tensors_outside_the_file_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.ones(3, np.float32).tobytes())
    model = onnx.load(network(tmp_path / "net.onnx"))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    path = tmp_path / "inside" / "net.onnx"
    path.parent.mkdir()
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsafeFile, match="other files"):
        OnnxModel(path)


def test_tensors_outside_hidden_in_an_attribute_of_a_branch_are_refused() -> None:
    helper = onnx.helper
    tensor = onnx.numpy_helper.from_array(np.ones(3, np.float32), "t")
    tensor.external_data.add(key="location", value="/etc/passwd")
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "b", [], [])
    outer = helper.make_graph(
        [helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)], "a", [], []
    )
    data = helper.make_model(outer).SerializeToString()
    with pytest.raises(UnsafeFile, match="other files"):
        check_self_contained(data, "net")


@pytest.mark.parametrize("data", [b"", b"not onnx", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 40])
def test_damaged_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError):
        OnnxModel(path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 5000), value=st.integers(0, 255))
def test_a_changed_byte_is_an_error_of_ours_or_none(tmp_path: Path, at: int, value: int) -> None:
    path = tmp_path / "net.onnx"
    if not path.exists():
        network(path)
    data = bytearray(path.read_bytes())
    data[at % len(data)] = value
    with contextlib.suppress(ModelError):
        check_self_contained(bytes(data), "net")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    data = network(tmp_path / "net.onnx").read_bytes()
    (tmp_path / "net.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError):
        OnnxModel(tmp_path / "net.onnx")


def test_another_file_than_expected_is_refused(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="sha256"):
        OnnxModel(path, sha256="0" * 64)


def test_one_session_serves_many_threads() -> None:
    row = table.find("fast")
    found = files.locate(row, ModelSettings())
    model = OnnxModel(found.weights, sha256=found.sha256)
    random = np.random.default_rng(1)
    batches = [random.normal(0, 1, (1, 3, 224, 224)).astype(np.float32) for _ in range(6)]
    alone = [model.run(batch) for batch in batches]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            together = list(pool.map(model.run, batches))
            assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_file_of_the_table_under_any_name_needs_no_recipe(tmp_path: Path) -> None:
    source = files.WEIGHTS / "efflite0-288-gem-w384-int8.onnx"
    (tmp_path / "renamed.onnx").write_bytes(source.read_bytes())
    embedder = open_embedder(ModelSettings(name=str(tmp_path / "renamed.onnx")))
    assert embedder.space_id == open_embedder().space_id
    assert embedder.cohort is not None


def test_real_models_of_other_families(assets: Path, tmp_path: Path) -> None:
    source = assets / "models" / "mobilenetv2" / "mobilenetv2-fp32.onnx"
    path = tmp_path / source.name
    path.symlink_to(source)
    recipe = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "side": 224}
    path.with_name(path.name + ".json").write_text(json.dumps(recipe))
    embedder = open_embedder(ModelSettings(name=str(path), home=str(tmp_path)))
    assert embedder.vectors(drawn_pictures(2)).shape == (2, 1280)
