"""Whole-number product with a fixed matrix of bytes, on one thread.

numpy has no such product; ONNX Runtime does, in the processor's own byte instructions, with the
matrix laid out for them once. The graph is one node, so its few bytes are written here by hand
(protobuf wire format, https://protobuf.dev/programming-guides/encoding) and no other library is
needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle import _runtime, _threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

ZERO = 64
"""Added to a left-hand number so that it is stored without a sign."""

LIMIT = 63
"""Largest left-hand number. Processors without a four-way byte product add two products in 16
bits: (64 + 63) · 127 · 2 = 32,258 stays below 32,768, so no processor saturates."""

_UINT8, _INT8, _INT32 = 2, 3, 6  # TensorProto.DataType
_EXTERNAL = 1  # TensorProto.DataLocation


class Int8Product:
    """`left @ matrix` for a `matrix` `(D, N)` of int8 in −127 … 127 that stays the same."""

    def __init__(self, matrix: NDArray[np.int8]) -> None:
        onnxruntime = _runtime.onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = _threads.INTRA_OP
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        # Handed over beside the graph, the matrix is in memory once: as the product wants it.
        options.add_external_initializers(
            ["matrix"], [onnxruntime.OrtValue.ortvalue_from_numpy(matrix)]
        )
        model = _model(*matrix.shape)
        providers = ["CPUExecutionProvider"]
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=providers)

    def __call__(self, left: NDArray[np.int8]) -> NDArray[np.int32]:
        """`(M, D)` int8 in −63 … 63 by the matrix: `(M, N)` int32, exact."""
        unsigned = (left + np.int8(ZERO)).view(np.uint8)
        product: NDArray[np.int32] = self._session.run(None, {"left": unsigned})[0]
        return product


def _number(value: int) -> bytes:
    """A variable-length number: seven bits a byte, the lowest first."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def _field(number: int, value: int | str | bytes) -> bytes:
    """One field: a number, or text or a message with its length before it."""
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    data = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | 2) + _number(len(data)) + data


def _value_info(name: str, kind: int, *sizes: int | str) -> bytes:
    """ValueInfoProto: a named tensor; a size that is text is free."""
    shape = b"".join(_field(1, _field(1 if isinstance(size, int) else 2, size)) for size in sizes)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def _model(rows: int, columns: int) -> bytes:
    """ModelProto: product = MatMulInteger(left, matrix, zero)."""
    inputs = b"".join(_field(1, name) for name in ("left", "matrix", "zero"))
    node = inputs + _field(2, "product") + _field(4, "MatMulInteger")
    zero = _field(2, _UINT8) + _field(8, "zero") + _field(9, bytes([ZERO]))
    place = {"location": "beside", "offset": "0", "length": str(rows * columns)}
    matrix = _field(1, rows) + _field(1, columns) + _field(2, _INT8) + _field(8, "matrix")
    for key, text in place.items():
        matrix += _field(13, _field(1, key) + _field(2, text))
    matrix += _field(14, _EXTERNAL)
    graph = _field(1, node) + _field(2, "product") + _field(5, zero) + _field(5, matrix)
    graph += _field(11, _value_info("left", _UINT8, "M", rows))
    graph += _field(12, _value_info("product", _INT32, "M", columns))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))
