"""The one place that imports optional libraries; a missing one is one sentence."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from types import ModuleType

from kenspeckle.errors import MissingExtra

EXTRA_OF = {
    "cv2": "geometry",
    "fastapi": "serve",
    "huggingface_hub": "hub",
    "matplotlib": "report",
    "mcp": "mcp",
    "pillow_heif": "heic",
    "prometheus_client": "serve",
    "rapidocr": "ocr",
    "torch": "torch",
    "transformers": "torch",
    "uvicorn": "serve",
    "uvloop": "serve",
}
"""Importable module → the extra that brings it."""


def need(module: str, purpose: str) -> ModuleType:
    """Import an optional module, or say which extra to install.

    `purpose` completes the sentence "… is needed for <purpose>".
    Raises MissingExtra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        root = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != root:
            raise
        extra = EXTRA_OF[root]
        raise MissingExtra(
            purpose,
            f"the extra '{extra}' is not installed",
            do=f'Install it with: pip install "kenspeckle[{extra}]"',
        ) from error


def need_all(modules: Iterable[str], purpose: str) -> None:
    """Say which extra to install where one of these modules is missing, without importing them.

    Raises MissingExtra.
    """
    for module in modules:
        if not has(module):
            need(module, purpose)


def has(module: str) -> bool:
    """Whether an optional module can be imported, without importing it."""
    # A module that another thread is importing at this moment has no spec that could be found.
    return sys.modules.get(module) is not None or find_spec(module) is not None
