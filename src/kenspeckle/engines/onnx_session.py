"""Networks by ONNX Runtime: one thread inside a call, callers side by side on one session."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from kenspeckle import _runtime, _threads
from kenspeckle.engines.onnx_check import check_self_contained
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "mps": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}
"""What people write → the provider of ONNX Runtime. Its own names are understood too."""

_READOUTS = ("embedding", "image_embeds", "pooler_output", "embeddings", "features")


def provider(device: str) -> str:
    """The provider that a device name stands for, if this build of ONNX Runtime has it.

    Raises ModelError with the names that are there.
    """
    word = device.strip().lower().partition(":")[0]
    available = _runtime.onnxruntime().get_available_providers()
    wanted = PROVIDERS.get(word) or next((n for n in available if n.lower() == word), "")
    if wanted not in available:
        raise ModelError(
            f"device {device}",
            f"this ONNX Runtime has no provider for it ({', '.join(available)})",
            expected="cpu, or an ONNX Runtime built for the device",
        )
    return wanted


class OnnxModel:
    """One loaded network. `run` may be called from many threads at once.

    The bytes whose `sha256` is checked are the bytes that are loaded; nothing outside the file is
    read (a `foreign` file, one that no table knows, is looked through for that). `side` is needed
    where the file leaves it open.

    Raises ModelError for a file that is another one than expected, damaged, or not a network from
    one square RGB picture to one row of features.
    """

    def __init__(
        self,
        path: Path,
        *,
        sha256: str = "",
        side: int = 0,
        threads: int = _threads.INTRA_OP,
        device: str = "cpu",
        foreign: bool = True,
    ) -> None:
        self._thing = Path(path)
        self._session, self.sha256 = opened(
            path, sha256=sha256, device=device, threads=threads, foreign=foreign
        )
        self.device = running_on(self._session, device)
        self._input, self.side, self._single = _picture_input(self._session, side, self._thing)
        self._output, width = _readout(self._session, self._thing)
        self.width = width or self.run(np.zeros((1, 3, self.side, self.side), np.float32)).shape[1]

    def run(self, batch: Float32) -> Float32:
        """Features `(B, width)` float32 of prepared pictures `(B, 3, side, side)` float32."""
        if self._session is None:
            raise ModelError(self._thing, "closed", expected="an open model")
        if self._single and len(batch) > 1:
            return np.concatenate([self.run(row[None]) for row in batch])
        try:
            (rows,) = self._session.run([self._output], {self._input: batch})
        except Exception as error:  # the runtime raises its own unrelated kinds
            raise ModelError(self._thing, f"the network failed ({_first(error)})") from error
        features: Float32 = rows.reshape(len(batch), -1)
        return features

    def close(self) -> None:
        """Give the memory back. The model cannot be used afterwards."""
        self._session = None


def running_on(session: Any, device: str) -> str:
    """The device that a session runs on: the one asked for, or the CPU, by which the runtime
    replaces a provider that fails to start."""
    return "cpu" if session.get_providers()[0] == PROVIDERS["cpu"] else device


def opened(
    path: Path,
    *,
    sha256: str = "",
    device: str = "cpu",
    threads: int = _threads.INTRA_OP,
    foreign: bool = True,
) -> tuple[Any, str]:
    """A session of the runtime on the file at `path`, and the sha256 of the bytes it was made of.

    Raises ModelError for a file that is missing, another one than expected, damaged, or (a
    `foreign` one) does not keep to itself.
    """
    name, thing = provider(device), Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(thing, f"it cannot be read ({error.strerror})") from error
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256:
        raise ModelError(
            thing,
            f"sha256 {found[:16]}…",
            expected=f"{sha256[:16]}…",
            do="The file is damaged or is another one; install or pull it anew",
        )
    if foreign:
        check_self_contained(data, thing)
    return _session(data, name, threads, thing), found


def _session(data: bytes, name: str, threads: int, thing: Path) -> Any:
    onnxruntime = _runtime.onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # The arena stays on (without it a second caller costs 80 MB instead of 20); planned patterns
    # go off: as fast without them, and 18 MB smaller.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            data, options, providers=list(dict.fromkeys([name, PROVIDERS["cpu"]]))
        )
    except Exception as error:  # the runtime raises its own unrelated kinds
        raise ModelError(thing, f"ONNX Runtime refuses it ({_first(error)})") from error


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _picture_input(session: Any, side: int, thing: Path) -> tuple[str, int, bool]:
    """Name of the input, side of its square, and whether it takes one picture a call only."""
    inputs = session.get_inputs()
    shape = inputs[0].shape
    whole = len(inputs) == 1 and inputs[0].type == "tensor(float)" and len(shape) == 4
    if not whole or (isinstance(shape[1], int) and shape[1] != 3):
        found = ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in inputs)
        raise ModelError(thing, f"inputs {found}", expected="one float32 input (batch, 3, h, w)")
    fixed = {length for length in shape[2:] if isinstance(length, int)}
    if len(fixed) > 1 or (side and fixed - {side}):
        expected = f"{side} × {side}, as its recipe says" if side else "a square"
        raise ModelError(thing, f"pictures of {shape[3]} × {shape[2]}", expected=expected)
    if not fixed and not side:
        raise ModelError(thing, "its side is open", expected="a side in the recipe")
    return inputs[0].name, side or fixed.pop(), shape[0] == 1


def _readout(session: Any, thing: Path) -> tuple[str, int]:
    """Name and width (0 where it is open) of the output that is one row of features a picture."""
    outputs = {entry.name: entry.shape for entry in session.get_outputs()}
    rows = {
        name: shape[1] if isinstance(shape[1], int) else 0
        for name, shape in outputs.items()
        if len(shape) == 2 or (len(shape) == 4 and shape[2:] == [1, 1])
    }
    for name in (*_READOUTS, *rows):
        if name in rows:
            return name, rows[name]
    raise ModelError(thing, f"outputs {outputs}", expected="one row (batch, features) a picture")
