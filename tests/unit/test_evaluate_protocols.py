"""Draws share nothing between groups, ask about no reference, and are the same everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given as cases
from hypothesis import strategies as st
from labelled import picture

from kenspeckle.errors import SettingError
from kenspeckle.evaluate.captures import captures
from kenspeckle.evaluate.datasets import read
from kenspeckle.evaluate.drawing import SPANS
from kenspeckle.evaluate.logo_draw import LogoPlan, logo_draws
from kenspeckle.evaluate.protocols import Draw, Group, Plan, draws, given
from kenspeckle.evaluate.samples import Dataset, Sample, Truth


def pooled(items: int, each: int, *more: Sample) -> Dataset:
    """Items of which every picture may be enrolled or asked about; no file is there."""
    pictures = [
        Sample("query", Path(f"/no/{i}/{n}"), f"{i:03}/{n}", (Truth(f"{i:03}"),))
        for i in range(items)
        for n in range(each)
    ] + list(more)
    references = [Sample("reference", s.path, s.name, s.truths, s.capture) for s in pictures]
    return Dataset("made", Path("/no"), "folders", tuple(references), tuple(pictures))


def names(samples: Iterable[Sample]) -> set[str]:
    return {sample.name for sample in samples}


def check(draw: Draw) -> None:
    """What every draw must hold."""
    groups = (draw.report, draw.fitting, draw.training)
    labels = [set(group.items) | set(group.strangers) for group in groups]
    assert sum(map(len, labels)) == len(set().union(*labels))
    seen = [names((*group.references, *group.queries)) for group in groups]
    assert sum(map(len, seen)) == len(set().union(*seen))
    for group in groups:
        assert not set(group.items) & set(group.strangers)
        assert not names(group.references) & names(group.queries)
        assert {s.label for s in group.references} == set(group.items)
        assert len(group.mated) + len(group.non_mated) == len(group.queries)
        for sample in group.queries:
            assert set(sample.labels) & (set(group.items) | set(group.strangers)) or (
                not sample.truths
            )


def test_half_of_the_report_is_left_out_of_its_gallery() -> None:
    for draw in draws(pooled(80, 6), 3, plan=Plan(training=0.2, fitting=0.3, report=0.5)):
        check(draw)
        assert len(draw.training.items) == 16
        assert len(draw.fitting.items) == 24
        assert (len(draw.report.items), len(draw.report.strangers)) == (20, 20)
        assert len(draw.report.references) == 60
        assert len(draw.report.mated) == 60
        assert len(draw.report.non_mated) == 120
        assert draw.excluded["its capture gave a reference"] == (16 + 24 + 20) * 3


@cases(
    items=st.integers(1, 12),
    each=st.integers(1, 5),
    references=st.integers(0, 4),
    training=st.floats(0, 1),
    strangers=st.none() | st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_any_draw_holds(
    items: int, each: int, references: int, training: float, strangers: float | None, seed: int
) -> None:
    plan = Plan(training, references=references, strangers=strangers)
    for draw in draws(pooled(items, each), 2, seed=seed, plan=plan):
        check(draw)


def test_one_item_with_one_picture_has_nobody_to_ask() -> None:
    (draw,) = draws(pooled(1, 1), 1, plan=Plan(fitting=0, strangers=0))
    assert draw.report.items == ("000",)
    assert not draw.report.queries
    assert draw.excluded == {"its capture gave a reference": 1}


def test_one_capture_is_left_to_ask_about() -> None:
    (draw,) = draws(pooled(4, 3), 1, plan=Plan(fitting=0, strangers=0, references=10))
    assert len(draw.report.references) == 8
    assert len(draw.report.queries) == 4


def test_more_references_keep_the_first_ones_and_the_queries() -> None:
    data = pooled(10, 20)
    few, many = (
        next(draws(data, 1, plan=Plan(references=count, reserve=10))).report for count in (2, 10)
    )
    assert names(few.references) < names(many.references)
    assert few.queries == many.queries


def test_at_most_so_many_queries_an_item() -> None:
    (draw,) = draws(pooled(10, 20), 1, plan=Plan(queries=4))
    assert len(draw.report.queries) == 4 * 5


def test_a_picture_less_moves_no_other() -> None:
    whole, less = pooled(10, 20), pooled(10, 19)
    a, b = (next(draws(data, 1, plan=Plan(references=4))) for data in (whole, less))
    gone = {s for s in names(a.references) if s.endswith("/19")}
    assert names(a.references) - gone <= names(b.references)
    assert a.report.items == b.report.items


def test_references_on_request_are_asked_about() -> None:
    (draw,) = draws(pooled(4, 3), 1, plan=Plan(fitting=0, strangers=0, ask_references=True))
    assert len(draw.report.references) == 12
    assert len(draw.report.queries) == 12


def test_a_capture_stays_together() -> None:
    """Two shots of a burst: when one gives a reference, the other is not asked about."""
    burst = [
        Sample("query", Path(f"/no/{i}/b{n}"), f"{i:03}/b{n}", (Truth(f"{i:03}"),), f"burst {i}")
        for i in range(12)
        for n in range(4)
    ]
    data = pooled(12, 4, *burst)
    for draw in draws(data, 3, plan=Plan(references=2)):
        check(draw)
        for group in (draw.report, draw.fitting):
            enrolled = {s.capture for s in group.references if s.capture}
            assert not enrolled & {s.capture for s in group.queries}


def test_a_picture_of_two_groups_is_left_out() -> None:
    both = Sample("query", Path("/no/both"), "both", (Truth("000"), Truth("001")))
    data = pooled(4, 3, both)
    met = set()
    for draw in draws(data, 12, plan=Plan(strangers=0)):
        check(draw)
        apart = len({"000", "001"} & set(draw.report.items)) == 1
        met.add(apart)
        assert (draw.excluded.get(SPANS, 0) == 1) is apart
        if apart:
            assert "both" not in names((*draw.report.queries, *draw.fitting.queries))
    assert met == {True, False}


def test_equal_files_are_one_capture(tmp_path: Path) -> None:
    for name in ("one/1.png", "one/2.png", "two/1.png", "two/2.png"):
        picture(tmp_path / name)
    picture(tmp_path / "one/other.png", seed=1)
    picture(tmp_path / "two/other.png", seed=2)
    shutil.copy(tmp_path / "one/1.png", tmp_path / "two/3.png")
    data = read(tmp_path)
    capture = {sample.name: name for sample, name in captures(data).items()}
    assert capture["one/1.png"] == capture["two/3.png"]
    assert len(set(capture.values())) == len(capture) - 1
    for draw in draws(data, 8, plan=Plan(references=1)):
        check(draw)
        both = {"one/1.png", "two/3.png"}
        for group in (draw.report, draw.fitting):
            assert not (both & names(group.references) and both & names(group.queries))


def test_strangers_of_the_data_set_are_shared_out() -> None:
    data = pooled(20, 4)
    loose = [Sample("stranger", Path(f"/no/s{n}"), f"s{n}") for n in range(10)]
    named = [
        Sample("stranger", Path(f"/no/n{n}"), f"n{n}", (Truth(f"n{n // 2}"),)) for n in range(8)
    ]
    data = Dataset("made", data.folder, "", data.references, data.queries, (*loose, *named))
    for draw in draws(data, 4):
        check(draw)
        assert len(draw.report.items) == 10
        assert len(draw.report.strangers) == len(draw.fitting.strangers) == 7
        for group in (draw.report, draw.fitting):
            assert {s.label for s in group.non_mated if s.label} == {
                name for name in group.strangers if name.startswith("n")
            }


def test_as_given_asks_everything_but_references() -> None:
    data = pooled(3, 2)
    assert not given(data).queries
    assert len(given(data, ask_references=True).queries) == 6
    apart = Dataset("made", data.folder, "", data.references[:2], data.queries[2:])
    assert given(apart).report == Group(("000",), (), data.references[:2], data.queries[2:])


@pytest.mark.parametrize(
    "plan",
    [
        {"report": 0},
        {"fitting": -1},
        {"training": float("nan")},
        {"strangers": 1.5},
        {"references": -1},
        {"report": float("inf")},
    ],
)
def test_a_plan_that_cannot_be(plan: dict[str, float]) -> None:
    with pytest.raises(SettingError):
        Plan(**plan)  # type: ignore[arg-type]


@pytest.mark.parametrize("plan", [{"logos": 0}, {"references": 0}, {"positives": -1}])
def test_a_logo_plan_that_cannot_be(plan: dict[str, int]) -> None:
    with pytest.raises(SettingError):
        LogoPlan(**plan)


def test_no_draws_are_refused() -> None:
    with pytest.raises(SettingError):
        next(draws(pooled(2, 2), 0))
    with pytest.raises(SettingError):
        next(logo_draws(pooled(2, 2), 0))


def test_the_logo_draw_counts_as_the_bench_does() -> None:
    data = pooled(100, 30)
    plan = LogoPlan(logos=20, references=10, positives=15, negatives=40)
    for draw in logo_draws(data, 2, plan=plan):
        check(draw)
        for group in (draw.report, draw.fitting):
            assert len(group.items) == 20
            assert len(group.references) == 200
            assert 20 * 15 <= len(group.mated) <= 20 * 20
            assert len(group.queries) <= 20 * 15 + 20 * 40
            assert len(group.non_mated) > 300


def test_the_logo_draw_takes_what_there_is() -> None:
    (draw,) = logo_draws(pooled(3, 2), plan=LogoPlan(logos=50, references=10))
    check(draw)
    assert len(draw.report.items) == 3
    assert not draw.fitting.items
    assert len(draw.report.references) == 3


PROGRAM = """
import sys
from kenspeckle.evaluate.datasets import read
from kenspeckle.evaluate.protocols import draws
from kenspeckle.evaluate.logo_draw import logo_draws
data = read(sys.argv[1])
for draw in (*draws(data, 2), *logo_draws(data, 2)):
    for group in (draw.report, draw.fitting):
        print(group.items, group.strangers, [s.name for s in group.references])
        print([s.name for s in group.queries], draw.excluded)
"""


def test_two_processes_with_other_hash_seeds_draw_the_same(tmp_path: Path) -> None:
    for item in range(12):
        for number in range(4):
            picture(tmp_path / f"{item}/{number}.png", (8, 8))
    told = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert len(told.pop()) > 1000
