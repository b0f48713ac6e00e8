"""ONNX Runtime, kept from reporting home.

From 1.31 on the published builds write an identity into the user's cache as they are loaded, and
send usage data to their maker. The one switch that comes early enough is in the environment.
"""

from __future__ import annotations

import os
import sys
from typing import Any

SWITCH = "ORT_DISABLE_TELEMETRY"


def silence() -> None:
    """Switch reports off, unless the user has said otherwise; before ONNX Runtime is loaded.

    Where somebody else has loaded it already, what is not sent yet stays unsent.
    """
    chosen = SWITCH in os.environ
    os.environ.setdefault(SWITCH, "1")
    loaded = sys.modules.get("onnxruntime")
    if loaded is not None and not chosen:
        loaded.disable_telemetry_events()


def onnxruntime() -> Any:
    """The module, for whoever opens a session."""
    silence()
    import onnxruntime as runtime

    return runtime
