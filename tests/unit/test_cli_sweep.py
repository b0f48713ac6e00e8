"""From options, environment names and presets to the cells of a sweep."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from kenspeckle.cli.sweep_grid import ENVIRONMENT, Asked, Plan, planned
from kenspeckle.config import ModelSettings
from kenspeckle.errors import SettingError
from kenspeckle.evaluate.sweep.grid import Sampling


def plan(environ: dict[str, str] | None = None, model: str = "", **given: Any) -> Plan:
    return planned(Asked(**given), ModelSettings(model), environ or {})


def values(made: Plan, field: str) -> list[Any]:
    return list(dict.fromkeys(getattr(cell, field) for cell in made.cells))


def test_common_settings_are_those_of_the_bench() -> None:
    made = plan()
    assert made.sampling == Sampling(20, 20, 100, 42)
    (cell,) = made.cells
    assert (cell.refs, cell.least, cell.threshold, cell.margin) == (10, 3, 0.70, 0.05)
    assert cell.called == "multi-ref-max"


def test_free_axes_are_multiplied() -> None:
    lists = {"method": "simple,margin", "threshold": "0.6, 0.7", "refs": "1,3", "margin": "0"}
    made = plan(lists=lists)
    assert len(made.cells) == 8
    assert values(made, "refs") == [1, 3]
    assert values(made, "margin") == [0.0]


@pytest.mark.parametrize(
    ("environ", "field", "expected"),
    [
        ({"THRESHOLD": "0.8"}, "threshold", [0.8]),
        ({"THRESHOLDS": "0.6 0.65"}, "threshold", [0.6, 0.65]),
        ({"MARGIN": ".1"}, "margin", [0.1]),
        ({"REFS_PER_LOGO": "7"}, "refs", [7]),
        ({"MIN_MATCHING_REFS": "2"}, "least", [2]),
        ({"USE_MAX_SIM": "false"}, "pool", ["mean"]),
        ({"MATCHING_METHOD": "margin"}, "method", ["margin"]),
        ({"MODEL": "dinov2-small"}, "model", ["dinov2-small"]),
        ({"PREPROCESS_MODE": "stretch"}, "mode", ["stretch"]),
    ],
)
def test_names_of_the_scripts_are_read(
    environ: dict[str, str], field: str, expected: list[Any]
) -> None:
    made = plan(environ)
    assert values(made, field) == expected
    assert made.environment == tuple(environ)


def test_sampling_by_the_names_of_the_scripts() -> None:
    names = {"NUM_LOGOS": "5", "SEED": "7", "POSITIVE_SAMPLES": "2", "NEGATIVE_SAMPLES": "0"}
    assert plan(names).sampling == Sampling(5, 2, 0, 7)


def test_options_win_over_the_environment_and_that_over_the_preset() -> None:
    environ = {"NUM_LOGOS": "5", "MARGIN": "0.2", "THRESHOLDS": "0.5", "USE_MAX_SIM": "1"}
    made = plan(environ, preset="best-threshold", sampling={"logos": 9}, single={"margin": 0.3})
    assert made.sampling.logos == 9
    assert values(made, "margin") == [0.3]
    assert values(made, "threshold") == [0.5]
    assert values(made, "pool") == ["max"]
    assert values(plan(environ, preset="best-threshold", maximum=False), "pool") == ["mean"]


def test_a_single_number_in_the_environment_leaves_a_grid_alone() -> None:
    made = plan({"THRESHOLD": "0.5", "REFS_PER_LOGO": "4"}, preset="refs-per-logo")
    assert values(made, "refs") == [1, 2, 3, 5, 7, 10, 15, 20]
    assert values(made, "threshold") == [0.5]


def test_a_named_model_wins_over_the_scripts_name() -> None:
    assert values(plan({"MODEL": "dinov2-small"}, model="dummy"), "model") == [""]


@pytest.mark.parametrize(
    ("tuned", "model", "head"),
    [
        ("head.safetensors", "", "head.safetensors"),
        ("a/checkpoint", "a/checkpoint", ""),
    ],
)
def test_tuned_is_a_head_or_a_model(tuned: str, model: str, head: str) -> None:
    first, second = plan(preset="tuned-against-baseline", tuned=tuned).cells
    assert (first.model, first.head) == ("", "")
    assert (second.model, second.head) == (model, head)
    assert plan({"TUNED_MODEL": tuned}, preset="tuned-against-baseline").cells == (first, second)


def test_the_script_of_best_thresholds_takes_baseline_or_tuned() -> None:
    made = plan({"MODEL": "tuned", "TUNED_MODEL": "h.pt"}, preset="best-threshold")
    assert values(made, "head") == ["h.pt"]
    assert values(plan({"MODEL": "baseline"}, preset="best-threshold"), "model") == [""]


@pytest.mark.parametrize(
    "given",
    [
        {"preset": "nonsense"},
        {"preset": "tuned-against-baseline"},
        {"lists": {"method": "nearest"}},
        {"lists": {"threshold": "high"}},
        {"lists": {"threshold": "nan"}},
        {"lists": {"threshold": ""}},
        {"lists": {"margin": "-1"}},
        {"lists": {"refs": "0"}},
        {"lists": {"refs": "1.5"}},
        {"lists": {"mode": "squash"}},
        {"lists": {"model": " , "}},
    ],
)
def test_wrong_options_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(typer.BadParameter):
        plan(**given)


@pytest.mark.parametrize(
    "environ",
    [
        {"SEED": "soon"},
        {"NUM_LOGOS": "0"},
        {"THRESHOLD": "high"},
        {"REFS_PER_LOGO": "0"},
        {"USE_MAX_SIM": "perhaps"},
        {"MATCHING_METHOD": "nearest"},
        {"PREPROCESS_MODE": "squash"},
    ],
)
def test_wrong_values_in_the_environment_are_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingError):
        plan(environ)


def test_names_of_the_scripts_are_no_settings_of_ours() -> None:
    assert not [name for name in ENVIRONMENT if name.startswith("KENSPECKLE_")]
