"""Networks by ONNX Runtime: one thread inside a call, callers side by side on one session."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from kenspeckle import _threads
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32


class OnnxModel:
    """One loaded network. `run` may be called from many threads at once.

    `sha256` is that of the bytes that were loaded; where one is expected, another is refused.
    """

    def __init__(
        self,
        path: Path,
        *,
        sha256: str = "",
        threads: int = _threads.INTRA_OP,
        device: str = "cpu",
    ) -> None:
        import onnxruntime

        data = path.read_bytes()
        self.sha256 = hashlib.sha256(data).hexdigest()
        if sha256 and self.sha256 != sha256:
            raise ModelError(
                str(path),
                f"sha256 {self.sha256[:16]}…",
                expected=f"{sha256[:16]}…",
                do="The file is damaged or is another one; install or pull it anew",
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        self.side = int(self._session.get_inputs()[0].shape[2])
        self.width = int(self._session.get_outputs()[0].shape[1])
        self.device = device

    def run(self, batch: Float32) -> Float32:
        """Features `(B, F)` float32 of prepared pictures `(B, 3, side, side)` float32."""
        (rows,) = self._session.run([self._output], {self._input: batch})
        return rows  # type: ignore[no-any-return]

    def close(self) -> None:
        """Give the memory back. The model cannot be used afterwards."""
        self._session = None
