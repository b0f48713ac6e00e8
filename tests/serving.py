"""A real server on a free loopback port: in a thread of this process, or as the command."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from kenspeckle.config import Settings
from kenspeckle.serve.run import Running, opened
from kenspeckle.serve.service import Service, open_service

PATIENCE = 120.0
"""Seconds in which a server has to be ready, or gone."""


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(service: Service) -> Iterator[str]:
    """Answer for a service in a thread, on the port of its settings, else a free one; its base
    address."""
    sockets = opened(service.settings, service.settings.serve.port or free_port())
    running, ready = Running(service, sockets), threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            running.run(ready.set)
        except BaseException as error:  # the test has to hear of it
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        if failed:
            raise failed[0]
        yield f"http://127.0.0.1:{next(iter(sockets))}"
    finally:
        running.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not stop"


@contextlib.contextmanager
def served(
    settings: Settings, indexes: Sequence[str | Path] = (), **given: object
) -> Iterator[tuple[str, Service]]:
    """Open a service on index files and answer for it: base address and service."""
    service = open_service(settings, [str(index) for index in indexes], **given)  # type: ignore[arg-type]
    with serving(service) as base:
        yield base, service


class Process:
    """`kenspeckle serve` as a process of its own."""

    def __init__(self, words: Sequence[object], folder: Path, **env: str) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KENSPECKLE_", "XDG_", "HF_", "LOGO_"))
        }
        kept |= {"HOME": str(folder / "home"), "KENSPECKLE_MODELS_NAME": "dummy"}
        kept |= {"PYTHONWARNINGS": "error", **env}
        self.log = folder / f"serve-{len(list(folder.glob('serve-*.log')))}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kenspeckle", "serve", *map(str, words)],
                cwd=folder,
                env=kept,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ready(self) -> str:
        """Wait for the line that says that it listens; the address in it, or AssertionError."""
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://[\w.:\[\]]+:\d+", self.line)
        if found is None:
            code = self.process.wait(PATIENCE)
            self.process.stdout.close()
            raise AssertionError(f"exit code {code}: {self.line}{self.log.read_text()}")
        return found[0]

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Tell it to stop; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextlib.contextmanager
def command(words: Sequence[object], folder: Path, **env: str) -> Iterator[tuple[str, Process]]:
    """Run `kenspeckle serve` with these words on a free port; its address and the process."""
    started = Process(["--port", free_port(), *words], folder, **env)
    try:
        yield started.ready(), started
    finally:
        started.stop(signal.SIGTERM)
