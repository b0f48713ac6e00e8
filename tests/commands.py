"""The command line called in this process: as real as in one of its own, and a second faster."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Done:
    """What a command wrote and its exit code."""

    out: str
    err: str
    code: int

    @property
    def told(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        data: dict[str, Any] = json.loads(self.out)
        return data


Command = Callable[..., Done]
"""`command("evaluate", path, "--json", "-", code=0)`: the exit code is checked, unless
it is None."""
