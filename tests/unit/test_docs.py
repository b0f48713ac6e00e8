"""The reference pages say what the code says: commands, options, settings, errors, extras."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kenspeckle import errors
from kenspeckle.cli.group import COMMANDS, load
from kenspeckle.config import load as load_settings
from kenspeckle.engines.table import MODELS
from kenspeckle.serve.schemas.answers import Model

ROOT = Path(__file__).parent.parent.parent
PAGES = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "reference_docs", ROOT / "tools/reference_docs.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def options(command: Any) -> set[str]:
    own = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    below = getattr(command, "commands", {}).values()
    return {name for name in own if name.startswith("-")}.union(*map(options, below))


def test_pages_are_as_the_code_would_write_them(writer):
    stale = [
        path.name
        for path, text in writer.pages().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run `make docs`"


def test_check_mode_says_which_page_is_out_of_date(writer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(writer, "ROOT", tmp_path)
    monkeypatch.setattr(writer, "PAGES", tmp_path / "docs")
    monkeypatch.setattr(writer, "extra_parts", lambda: {"hub": ["x"]})
    monkeypatch.setattr(sys, "argv", ["reference_docs.py", "--check"])
    assert writer.main() == 1
    assert "commands.md: out of date" in capsys.readouterr().out
    assert not (tmp_path / "docs").exists()


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_and_option_is_described(row):
    section = page("commands").partition(f"\n## kenspeckle {row.name}\n")[2].partition("\n## ")[0]
    assert section
    for option in options(load(row)):
        assert f"{option}" in section, option


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_the_list_of_commands_says_what_the_command_says(row):
    assert (load(row).help or "").partition("\n")[0].strip() == row.about


def test_every_option_has_words():
    for row in COMMANDS:
        command = load(row)
        for one in (command, *getattr(command, "commands", {}).values()):
            for param in one.params:
                assert param.help or param.param_type_name == "argument", (one.name, param.name)


def test_every_setting_is_described():
    text = page("settings")
    for setting in load_settings(environ={})[1]:
        assert f"`{setting.name}`" in text
        for name in setting.environment:
            assert f"`{name}`" in text


def test_every_error_is_described(writer):
    text = page("errors")
    kinds = writer.error_classes()
    assert errors.KenspeckleError in kinds
    for kind in kinds:
        assert f"`{kind.__name__}`" in text
        assert f"{kind.__name__}" in (errors.__doc__ or "")


def test_every_extra_is_described(writer):
    text = page("extras")
    for name in writer.extra_parts():
        assert f"`{name}`" in text


def test_pages_install_from_the_source_as_the_readme_does():
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r"install [\"']?kenspeckle\b.*", text), path.name
        for extras in re.findall(r"pip install '\.\[([a-z,]+)\]'", text):
            assert all(f"`{extra}`" in page("extras") for extra in extras.split(",")), path.name


def test_models_of_examples_are_there():
    found = set(Model.model_fields["name"].examples or ())
    for path in (ROOT / "docs").rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        found.update(re.findall(r'"name": "([^"]+)", "space_id"', text))
    assert found
    assert found <= {row.name for row in MODELS}


def test_the_tool_runs_by_itself():
    done = subprocess.run(
        [sys.executable, "tools/reference_docs.py", "--check"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
