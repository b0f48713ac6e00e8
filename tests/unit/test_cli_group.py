"""Prefixes of long options."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kenspeckle.cli.group import COMMANDS, UsageError, expand, load


def option(*names: str, no: str = "", flag: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        opts=list(names), secondary_opts=[no] if no else [], is_flag=flag or bool(no)
    )


PARAMS = [
    option("--refs"),
    option("--rehash", flag=True),
    option("--out", "-o"),
    option("--model", "--clip-model"),
    option("--naming"),
    option("--calibrate", no="--no-calibrate"),
    option("--json", flag=True),
    SimpleNamespace(opts=["photo"], secondary_opts=[]),
]


@pytest.mark.parametrize(
    ("given", "expanded"),
    [
        ([], []),
        (["a", "-o", "b"], ["a", "-o", "b"]),
        (["--ref", "x"], ["--refs", "x"]),
        (["--ref=x"], ["--refs=x"]),
        (["--reh", "--js"], ["--rehash", "--json"]),
        (["--clip", "m"], ["--clip-model", "m"]),
        (["--o", "--refs"], ["--out", "--refs"]),
        (["--out", "--js", "--js"], ["--out", "--js", "--json"]),
        (["--out=--js", "--js"], ["--out=--js", "--json"]),
        (["--no-c"], ["--no-calibrate"]),
        (["--js", "--", "--js"], ["--json", "--", "--js"]),
        (["--", "--js"], ["--", "--js"]),
        (["--unknown", "--js"], ["--unknown", "--json"]),
        (["--out"], ["--out"]),
        (["-x", "-", ""], ["-x", "-", ""]),
    ],
)
def test_expand(given, expanded):
    assert expand(PARAMS, given) == expanded


@pytest.mark.parametrize(
    ("prefix", "both"),
    [
        ("--re", ("--refs", "--rehash")),
        ("--n", ("--naming", "--no-calibrate")),
        ("--c", ("--calibrate", "--clip-model")),
    ],
)
def test_an_ambiguous_prefix_names_all_matches(prefix, both):
    with pytest.raises(UsageError) as caught:
        expand(PARAMS, [prefix, "x"])
    assert all(name in caught.value.message for name in both)
    assert caught.value.exit_code == 2


def test_a_former_option_wins_its_prefix():
    assert expand(PARAMS, ["--re", "x"], ["--refs"]) == ["--refs", "x"]
    with pytest.raises(UsageError):
        expand(PARAMS, ["--n", "x"], ["--refs"])


def test_former_options_are_options():
    for row in COMMANDS:
        names = {name for param in load(row).params for name in param.opts}
        assert set(row.former) <= names
