"""A server for `serve_load`: the command as it is, or with one thing exchanged.

    python -m benchmarks._load_server SIDE WORDS…

`usual` is the command. `session` has a lock around each call of the network, `cores` too, and that
session a thread a core, as sessions have by themselves. `embedder` has the lock around resizing and
the network together, `one` is a single caller. `alone` lets no batch pay, whatever the
probe says. `device` and `device-alone` stand a device behind the model `dummy` that takes 20 ms a
call, whatever the batch, and one call at a time.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from typing import Any

from kenspeckle import _threads

CALL = 0.020
"""Seconds that a call of the device takes."""


class Device:
    """Answers as the model `dummy`, one call at a time, each of `CALL` seconds."""

    device = "device"

    def __init__(self) -> None:
        from kenspeckle.engines.dummy import SIDE, WIDTH, DummyModel

        self.width, self.side = WIDTH, SIDE
        self._turn, self._dummy = threading.Lock(), DummyModel()

    def run(self, batch: Any) -> Any:
        with self._turn:
            start = time.perf_counter()
            rows = self._dummy.run(batch)
            time.sleep(max(0.0, CALL - (time.perf_counter() - start)))
            return rows

    def close(self) -> None:
        pass


class Locked:
    """An engine that runs one call at a time."""

    def __init__(self, engine: Any) -> None:
        self._engine, self._turn = engine, threading.Lock()
        self.width, self.side, self.device = engine.width, engine.side, engine.device

    def run(self, batch: Any) -> Any:
        with self._turn:
            return self._engine.run(batch)

    def close(self) -> None:
        self._engine.close()


def opener(side: str) -> Any:
    """Opens embedders as this side has them."""
    from kenspeckle.engines import table
    from kenspeckle.vectors.admit import admitted
    from kenspeckle.vectors.embed import ModelEmbedder

    class OneAtATime(ModelEmbedder):
        turn = threading.Lock()

        def vector(self, *given: Any, **named: Any) -> Any:
            with self.turn:
                return super().vector(*given, **named)

    def load(row: Any, files: Any, device: str) -> tuple[Any, str]:
        if side.startswith("device"):
            return Device(), ""
        engine, note = admitted(row, files, device)
        return (Locked(engine) if side in ("session", "cores") else engine), note

    kind = OneAtATime if side == "embedder" else ModelEmbedder
    return lambda settings: kind(table.find(settings.name), settings, load)


def main() -> int:
    side, *words = sys.argv[1:]
    if side == "cores":
        _threads.INTRA_OP = _threads.cores()  # before the imports that read it
    from kenspeckle.cli.main import run
    from kenspeckle.serve import service
    from kenspeckle.vectors import probe

    if side in ("alone", "device-alone"):
        probe.WORTH = float("inf")
    if side != "usual":
        service.Models = functools.partial(service.Models, opener=opener(side))  # type: ignore[misc]
    if side == "one":
        words += ["--callers", "1"]
    return run(["serve", *words])


if __name__ == "__main__":
    sys.exit(main())
