"""The container's files hold to what docs/how-to/deploy.md says; they are linted, not built."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from drawing import draw_folder
from serving import command, free_port

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
LINTS = {
    "Dockerfile": ("hadolint", "Dockerfile"),
    "compose.yaml": (
        *("check-jsonschema", "--builtin-schema", "vendor.compose-spec"),
        "compose.yaml",
    ),
}


def linted(name: str, folder: Path) -> None:
    tool, *words = LINTS[name]
    if not (BIN / tool).is_file():
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run([BIN / tool, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", LINTS)
def test_files_pass_their_linter(name: str) -> None:
    linted(name, ROOT)


def for_former_clients() -> str:
    """`compose.yaml` without the marks before the lines that are for clients of former systems."""
    text = (ROOT / "compose.yaml").read_text()
    freed, count = re.subn(r"^    # (  - |environment:|  KENSPECKLE_)", r"    \1", text, flags=re.M)
    assert count == 3
    return freed


def test_the_lines_for_clients_of_former_systems_fit_in(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(for_former_clients())
    linted("compose.yaml", tmp_path)


def test_the_service_is_left_the_time_that_its_end_takes() -> None:
    given = re.search(r"^    stop_grace_period: (\d+)s$", (ROOT / "compose.yaml").read_text(), re.M)
    assert given
    grace = Settings().serve.grace
    assert grace + 2 <= int(given[1]) <= grace + 10
    page = (ROOT / "docs/how-to/deploy.md").read_text()
    assert f"{given[1]} seconds, is a little above the {grace:g} seconds" in page


@pytest.mark.slow
def test_with_these_lines_they_are_answered_without_a_key(tmp_path: Path) -> None:
    """The command of the container, with its surroundings, on ports that are free."""
    surfaces = re.search(r'KENSPECKLE_SERVE_SURFACES: "(.*)"', for_former_clients())
    started = re.search(r"^CMD (.*)$", (ROOT / "Dockerfile").read_text(), re.M)
    assert surfaces
    assert started
    assert surfaces[1] in (ROOT / "docs/how-to/deploy.md").read_text()
    words, second = json.loads(started[1]), str(free_port())
    at = words.index("--port")
    assert words[0] == "serve"
    words[at : at + 2] = []
    words[words.index("/data/gallery.ken")] = "gallery.ken"
    settings = Settings(models=ModelSettings(name="dummy"))
    with Gallery.create(tmp_path / "gallery.ken", settings=settings) as gallery:
        gallery.index(draw_folder(tmp_path / "things"))
    (tmp_path / "key").write_text("k" * 40)
    secret = {"KENSPECKLE_KEY_FILE": str(tmp_path / "key")}

    def statuses(**more: str) -> list[int]:
        with command(words[1:], tmp_path, **secret, **more) as (base, _):
            first = base.rpartition(":")[2]
            other = second if more else first
            asked = {"/api/info": first, "/available_operations/": other, "/v1/galleries": first}
            addresses = [f"http://127.0.0.1:{port}{path}" for path, port in asked.items()]
            return [httpx2.get(address, timeout=90).status_code for address in addresses]

    assert statuses() == [401, 401, 401]
    opened = surfaces[1].replace(":8000", f":{second}")
    assert statuses(KENSPECKLE_SERVE_SURFACES=opened) == [200, 200, 401]


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
