"""Fixtures that every room shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import Command, Done
from httpx2._config import DEFAULT_TIMEOUT_CONFIG as USUAL
from hypothesis import HealthCheck, settings

# Whoever gives no time of their own waits for as long as a busy machine may take.
USUAL.connect = USUAL.read = USUAL.write = USUAL.pool = 60.0

# How long an example takes says more of who else is at work than of what is tested.
settings.register_profile(
    "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder that holds real `models/` and `data/`; skips the test when there is none."""
    named = os.environ.get("KENSPECKLE_TEST_ASSETS", "")
    folder = Path(named)
    if not named or not (folder / "models").is_dir():
        pytest.skip("KENSPECKLE_TEST_ASSETS names no folder with models/ and data/")
    return folder


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """`kenspeckle` in an empty folder, without settings of the caller's."""
    from kenspeckle.cli.main import run

    for name in [n for n in os.environ if n.startswith(("KENSPECKLE_", "XDG_", "HF_", "LOGO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KENSPECKLE_MODELS_NAME", "dummy")
    monkeypatch.chdir(tmp_path)

    def call(*words: object, code: int | None = 0) -> Done:
        capsys.readouterr()
        found = run([str(word) for word in words])
        said = capsys.readouterr()
        assert code in (None, found), said.err
        return Done(said.out, said.err, found)

    return call
