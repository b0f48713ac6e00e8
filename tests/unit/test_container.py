"""The container's files hold to what docs/how-to/deploy.md says; they are linted, not built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
LINTS = {
    "Dockerfile": ("hadolint", "Dockerfile"),
    "compose.yaml": (
        *("check-jsonschema", "--builtin-schema", "vendor.compose-spec"),
        "compose.yaml",
    ),
}


@pytest.mark.parametrize("name", LINTS)
def test_files_pass_their_linter(name: str) -> None:
    tool, *words = LINTS[name]
    if not (BIN / tool).is_file():
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run([BIN / tool, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_small_in_rights_and_free_of_gpl() -> None:
    text = (ROOT / "Dockerfile").read_text()
    last = text.rpartition("FROM ")[2]
    assert "USER 10001" in last
    assert "HEALTHCHECK" in last
    assert 'extras="serve,geometry"' in text
    assert "ARG HEIC=0" in text
    assert "ARG VIDEO=0" in text


def test_only_what_the_package_needs_is_handed_to_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*", "keys, galleries and the history stay outside"
    copied = [
        word
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        for word in line.split()[1:-1]
        if line.startswith("COPY") and "--from" not in line
    ]
    assert {f"!{word}" for word in copied} <= set(lines)
