"""The HTML report: what it holds, what it lets in, what its plots draw."""

from __future__ import annotations

import base64
import io
import math
import re
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kenspeckle.errors import InputError, MissingExtra
from kenspeckle.evaluate import figures
from kenspeckle.evaluate.compare import changes, pairs
from kenspeckle.evaluate.report import numbers as report_numbers
from kenspeckle.evaluate.report import plots as report_plots
from kenspeckle.evaluate.report import scores as report_scores
from kenspeckle.evaluate.report.page import POLICY, html
from kenspeckle.evaluate.report.pictures import SIDE, Pictures
from kenspeckle.evaluate.result import (
    Answer,
    Counts,
    Details,
    Distribution,
    DrawFigures,
    Evaluation,
    Overlap,
    Parting,
    Rate,
    RegionFigures,
    SeenRegion,
)
from kenspeckle.evaluate.samples import Dataset, Sample, Truth

pytestmark = pytest.mark.slow

EMPTY = {"br", "img", "meta"}
NO_SCORE = "No answer has a finite score"
HOSTILE = "\"><script>alert('x')</script><img src=x onerror=alert(1)>&$a_b$"


class Page(HTMLParser):
    """A page's elements, their attributes and text; fails on a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def answer(number: int, *, enrolled: bool, score: float, right: bool = True, **more) -> Answer:
    """A query about item `number`, answered by a threshold of 0.5."""
    truth = f"item {number}"
    best = truth if right and enrolled else f"item {number + 1}"
    usual = {
        "draw": 0, "enrolled": enrolled, "box": None,
        "query": f"photos/{number}.jpg", "truth": (truth,),
        "said": best if score > 0.5 else "", "best": best, "runner": "item 99", "score": score,
        "similarity": score / 2, "margin": score, "confidence": min(max(score, 0.0), 1.0),
        "rank": 1 if best == truth else 3, "region": "whole", "reference": f"references/{best}.png",
    }  # fmt: skip
    return Answer(**{**usual, **more})


def some() -> list[Answer]:
    mated = [answer(n, enrolled=True, score=0.3 + 0.05 * n, right=n != 9) for n in range(10)]
    return mated + [answer(n, enrolled=False, score=0.02 * n) for n in range(10, 40)]


def evaluation(answers: list[Answer], folder: Path | str = "/nowhere", **more) -> Evaluation:
    draws = []
    for draw in sorted({one.draw for one in answers}):
        mine = [one for one in answers if one.draw == draw]
        mated = sum(one.enrolled for one in mine)
        draws.append(
            DrawFigures(draw, draw, 10, 12, mated, len(mine) - mated, 0.5, 20, figures.values(mine))
        )
    usual = {
        "name": "shelf", "folder": str(folder),
        "settings": {"model": "dummy", "method": "margin"},
        "fpir": 0.05, "answers": tuple(answers), "draws": tuple(draws),
        "rates": figures.rates(answers),
        "counts": (), "regions": None, "excluded": {}, "notes": (), "seconds": 1.5,
        "confidence_from": "views",
    }  # fmt: skip
    return Evaluation(**{**usual, **more})


@pytest.fixture(scope="module")
def usual() -> Page:
    return Page(html(evaluation(some())))


def test_the_page_has_every_part_in_the_order_of_reading(usual):
    titles = [
        "Every threshold", "Where the scores lie", "Is the confidence honest?",
        "The worst mistakes", "Hits and misses, counted", "All figures", "Left out",
    ]  # fmt: skip
    places = [usual.text.index(title) for title in titles]
    assert places == sorted(places)


def test_the_head_says_how_much_was_asked_of_what(usual):
    assert "A gallery of N = 10 items, 10 questions about enrolled items" in usual.text
    assert "30 questions about strangers" in usual.text
    assert "fitted to name 5\u00a0% of strangers, on 20 other stranger items" in usual.text


def test_key_figures_are_those_of_the_evaluation(usual):
    rate = evaluation(some()).rates["tpir"]
    assert f"{rate.value:.0%}".replace("%", "\u00a0%") in usual.text
    assert "30 stranger items cannot confirm a rate of 5\u00a0%" in usual.text
    assert "It takes 59." in usual.text


def test_nothing_leaves_the_page(usual):
    policy = [one["content"] for one in usual.of("meta") if "http-equiv" in one]
    assert policy == [POLICY]
    assert not usual.of("script")
    assert not usual.of("link")
    for tag, attributes in usual.tags:
        for key in ("src", "href", "xlink:href", "action", "data"):
            if key in attributes:
                assert attributes[key].startswith(("data:", "#")), (tag, attributes[key][:60])
        assert "http" not in " ".join(v for k, v in attributes.items() if k != "http-equiv")[:99]
        assert not any(key.startswith("on") for key in attributes)


def test_ids_are_unique_and_their_uses_point_to_one(usual):
    ids = Counter(attributes["id"] for _, attributes in usual.tags if "id" in attributes)
    assert not [name for name, count in ids.items() if count > 1]
    used = {a["href"][1:] for _, a in usual.tags if a.get("href", "").startswith("#")}
    assert used
    assert used <= set(ids)


def test_hostile_names_stay_text(tmp_path):
    bad = [
        answer(1, enrolled=True, score=0.9, right=False, truth=(HOSTILE,), best=HOSTILE + "2",
               said=HOSTILE + "2", runner=HOSTILE, query=HOSTILE, reference=HOSTILE),
        answer(2, enrolled=False, score=0.8, truth=(HOSTILE,)),
        answer(3, enrolled=True, score=0.1),
    ]  # fmt: skip
    region = SeenRegion(HOSTILE, (0, 0, 5, 5), HOSTILE, 0.5, (HOSTILE,), ((HOSTILE, 0.5),))
    spread = Distribution(HOSTILE, 1, 0, 1, 0.5, 0, 0.5, 0, 0, 0, 0, 0.5)
    one = evaluation(
        bad, HOSTILE, name=HOSTILE, settings={HOSTILE: HOSTILE, "method": HOSTILE},
        excluded={HOSTILE: 3}, notes=(HOSTILE,), stages={HOSTILE: 1.0},
        details=Details((spread,), None, (region,)),
    )  # fmt: skip
    page = Page(html([one, one], seen=[HOSTILE]))
    assert not page.of("script")
    assert not [a for a in page.of("img") if "onerror" in a or not a["src"].startswith("data:")]
    assert page.text.count("<script>alert('x')</script>") > 10


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([], "No photo of a stranger was asked about"),
        ([answer(1, enrolled=True, score=0.9)], "No photo of a stranger was asked about"),
        ([answer(1, enrolled=False, score=0.9)], "there is no curve"),
        ([answer(1, enrolled=True, score=0.9), answer(2, enrolled=False, score=0.9)], "A gallery"),
        ([answer(n, enrolled=n < 3, score=0.5) for n in range(6)], "strangers"),
        ([answer(n, enrolled=n < 3, score=math.nan) for n in range(6)], NO_SCORE),
        ([answer(n, enrolled=n < 3, score=-math.inf) for n in range(6)], NO_SCORE),
        ([answer(n, enrolled=n < 3, score=0.6, confidence=None) for n in range(6)],
         "No answer states a confidence"),
        ([answer(n, enrolled=n < 3, score=0.6, margin=None, truth=()) for n in range(6)],
         "nothing with a name"),
    ],
)  # fmt: skip
def test_poor_evaluations_still_make_a_page(answers, says):
    assert says in Page(html(evaluation(answers))).text


def test_no_evaluation_is_refused():
    with pytest.raises(InputError, match="no evaluation"):
        html([])


def test_thresholds_without_strangers_or_that_are_infinite_are_left_out_of_the_plots():
    one = evaluation(some())
    draws = tuple(replace(draw, threshold=math.inf) for draw in one.draws)
    assert "Where the scores lie" in Page(html(replace(one, draws=draws))).text


def test_three_strangers_do_not_judge_a_rate():
    few = [a for a in some() if a.enrolled] + some()[10:13]
    assert "Too few stranger items to tell" in Page(html(evaluation(few))).text


def test_a_rate_that_is_clearly_missed_is_called_so():
    many = [answer(n, enrolled=False, score=0.9 if n % 2 else 0.1) for n in range(10, 140)]
    assert "More than asked, beyond the interval" in Page(html(evaluation(some()[:10] + many))).text


def test_a_given_threshold_is_told_as_such():
    text = Page(html(evaluation(some(), fpir=None))).text
    assert "The threshold was given, not fitted." in text


def test_left_out_is_listed_with_its_count():
    text = Page(html(evaluation(some(), excluded={"no such file": 7, "no label": 0}))).text
    assert "no such file7" in text
    assert "no label" not in text


def test_without_matplotlib_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra) as caught:
        html(evaluation(some()))
    assert 'pip install "kenspeckle[report]"' in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_file_is_what_the_call_returns(tmp_path):
    out = tmp_path / "report.html"
    text = html(evaluation(some()), out=out)
    assert out.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [out]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match=r"missing/report\.html: cannot be written"):
        html(evaluation(some()), out=tmp_path / "missing" / "report.html")


def test_both_ways_of_counting_are_shown_with_recall_beyond_one():
    counts = (
        Counts("ours", "boxes", 3, 1, 2, 5),
        Counts("legacy", "names of photos", 278, 300, 136, 137),
    )
    text = Page(html(evaluation(some(), counts=counts))).text
    assert "0.6000 (60\u00a0%)" in text
    assert "2.0292 (203\u00a0%)" in text
    assert "need not add up" in text


def test_finding_and_naming_stand_apart():
    rates = [Rate(value, value - 0.1, value + 0.1, 20, 10) for value in (0.9, 0.5, 0.45)]
    text = Page(html(evaluation(some(), regions=RegionFigures(*rates)))).text
    assert "90\u00a0% (80\u00a0% – 100\u00a0%)" in text
    assert "end to end" in text


def test_details_of_the_bench_are_all_there():
    spread = Distribution(
        "pairs of right names", 4, 0.1, 0.9, 0.5, 0.2, 0.5, 0.1, 0.2, 0.7, 0.8, 0.5
    )
    top = tuple((f"item {n}", 0.9 - 0.1 * n) for n in range(5))
    region = SeenRegion("a.jpg", (0, 0, 9, 9), "windows", 0.77, ("item 2",), top)
    found = Details((spread,), Overlap(0.2, 0.6, 0.25, 0.75), (region,) * 20, Parting(0.41, 0.9))
    text = Page(html(evaluation(some(), details=found))).text
    assert "pairs of right names" in text
    assert "20 regions" in text
    assert "item 4 0.500" in text
    assert "from 0.200 to 0.600" in text
    assert "best at 0.410 (F1 0.900" in text
    apart = replace(found, overlap=None)
    text = Page(html(evaluation(some(), details=apart))).text
    assert "do not overlap. They part best at 0.410" in text


def test_the_worst_confusion_comes_first_and_once(tmp_path):
    many = [
        answer(n, enrolled=False, score=0.6 + 0.01 * n, truth=("twin",), best="other", said="other")
        for n in range(8)
    ]
    many.append(answer(50, enrolled=False, score=0.95, truth=("worst",), best="x", said="x"))
    page = Page(html(evaluation(many)))
    part = page.text[page.text.index("Strangers that got a name: 9") :]
    assert part.index("worst") < part.index("twin")
    assert "8 times, in 8 photos" in part
    assert len([a for a in page.of("article") if a["class"] == "card false-hit"]) == 2


def test_seen_and_unseen_are_apart():
    text = Page(html(evaluation(some()), seen=["item 0", "item 1"])).text
    assert "seen in training22" in text
    assert "not seen in training88" in text


def test_draws_that_chose_different_scores_are_told_by_distance_to_their_threshold():
    one = evaluation([*some(), *(replace(a, draw=1, score=a.score + 5) for a in some())])
    draws = [replace(one.draws[0], rule="a"), replace(one.draws[1], rule="b", threshold=5.5)]
    text = Page(html(replace(one, draws=tuple(draws)))).text
    assert "The draws chose different scores" in text
    assert "less its draw's threshold" in text


def test_a_dot_off_its_line_is_explained():
    words = "so it may lie off the line"
    assert words not in Page(html(evaluation(some()))).text
    one = evaluation([*some(), *(replace(a, draw=1, score=a.score + 5) for a in some())])
    assert f"each at its own threshold, {words}" in Page(html(one)).text
    draws = [replace(draw, rule=f"score {draw.draw}") for draw in one.draws]
    text = Page(html(replace(one, draws=tuple(draws)))).text
    assert f"by the score that it chose, {words}" in text


def test_one_item_has_a_dot_without_bars_and_a_dash_for_its_interval():
    strangers = [answer(20, enrolled=False, score=s, query=f"{s}.jpg") for s in (0.1, 0.2, 0.9)]
    mated = [answer(1, enrolled=True, score=s, query=f"{s}.jpg") for s in (0.3, 0.8)]
    one = evaluation([*mated, *strangers])
    text = Page(html([one, replace(one, name="again")])).text.replace("\u00a0", " ")
    assert "nan" not in text
    assert "33 %–31" in text  # strangers named, no interval, three answers of one item
    assert "33 % – 33 %" not in text


def test_a_threshold_far_from_all_scores_does_not_squeeze_them():
    groups = {"one": (np.array([0.1, 0.2]), report_plots.RIGHT)}
    (axes,) = report_plots.distributions(groups, [-2.0, 0.15], "margin").axes
    assert [line.get_xdata()[0] for line in axes.lines] == [0.15]
    assert axes.get_xlim()[0] > 0


def draw_of(answers: list[Answer]) -> report_numbers.Open:
    (one,) = report_scores.opened(evaluation(answers))
    return one


def test_the_curve_passes_through_the_measured_rates():
    rng = np.random.default_rng(0)
    mated, right = rng.normal(1, 1, 200), rng.random(200) < 0.8
    strangers = rng.normal(0, 1, 100)
    curve = report_numbers.curve([report_numbers.Open(mated, right, strangers)])
    assert curve is not None
    for rate, named in zip(curve.fpir, curve.tpir, strict=True):
        threshold = np.sort(strangers)[::-1][min(int(rate * 100 + 1e-6), 99)]
        assert named == pytest.approx(float((right & (mated > threshold)).mean()))
    assert curve.fpir[0] == pytest.approx(0.01)


def test_several_draws_give_mean_least_and_most():
    draws = [
        draw_of(some()),
        draw_of([replace(a, score=a.score / 2) for a in some()[:10]] + some()[10:]),
    ]
    curve, (first, second) = report_numbers.curve(draws), [report_numbers.curve([d]) for d in draws]
    np.testing.assert_allclose(curve.tpir, (first.tpir + second.tpir) / 2)
    np.testing.assert_allclose(curve.low, np.minimum(first.tpir, second.tpir))
    assert curve.draws == 2


def test_the_plots_draw_the_curve_and_the_working_point():
    curve = report_numbers.curve([draw_of(some())])
    point = (0.1, 0.6, (0.05, 0.2), (0.4, 0.7))
    roc = report_plots.roc({"a": curve}, {"a": point}, 0.04)
    line = roc.axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), curve.tpir)
    np.testing.assert_allclose(line.get_xdata(), curve.fpir)
    assert [0.1] in [list(one.get_xdata()) for one in roc.axes[0].lines]
    det = report_plots.det({"a": curve}, {"a": point}, 0.04)
    np.testing.assert_allclose(det.axes[0].lines[0].get_ydata(), 1 - curve.tpir)
    assert det.axes[0].get_yscale() == det.axes[0].get_xscale() == "log"


def test_every_name_is_in_the_legend_however_it_begins_or_ends():
    curve = report_numbers.curve([draw_of(some())])
    figure = report_plots.roc({"_hidden": curve, "x" * 300: curve}, {}, None)
    first, second = (text.get_text() for text in figure.axes[0].get_legend().get_texts())
    assert first.endswith("_hidden")
    assert len(second) == 44


def test_histograms_hold_every_score_and_mark_each_threshold():
    groups = {
        "one": (np.array([0.1, 0.2, 0.2]), report_plots.RIGHT),
        "none": (np.array([]), "#fff"),
    }
    figure = report_plots.distributions(groups, [0.15, 0.17], "margin")
    assert len(figure.axes) == 1
    (axes,) = figure.axes
    assert [line.get_xdata()[0] for line in axes.lines] == [0.15, 0.17]
    heights, _, _ = axes.patches[0].get_data()
    assert heights.sum() == pytest.approx(1)
    assert axes.get_title(loc="left") == "one, 3"


def test_the_reliability_diagram_shows_stated_against_true():
    bars = report_numbers.bars([0.1] * 10 + [0.9] * 10, [False] * 10 + [True] * 9 + [False], 2)
    figure = report_plots.reliability(bars)
    dots = figure.axes[0].containers[0][0]
    np.testing.assert_allclose(np.array(dots.get_xdata(), float), [0.1, 0.9])
    np.testing.assert_allclose(np.array(dots.get_ydata(), float), [0.0, 0.9])


def test_the_heat_map_writes_every_cell_and_outlines_the_best():
    table = np.array([[0.1, np.nan], [0.3, 0.2]])
    figure = report_plots.heat(table, ["a", "b"], ["x", "y"], ("row", "column"))
    (axes,) = figure.axes
    assert sorted(text.get_text() for text in axes.texts) == ["10", "20", "30"]
    (best,) = [patch for patch in axes.patches if not patch.get_fill()]
    assert best.get_xy() == (-0.5, 0.5)


def test_a_heat_map_of_nothing_outlines_no_best():
    (axes,) = report_plots.heat(np.zeros((1, 2)), ["a"], ["x", "y"], ("row", "column")).axes
    assert all(patch.get_fill() for patch in axes.patches)


def test_a_line_over_a_setting_keeps_its_points_and_ticks():
    figure = report_plots.lines(
        {"max": [(3, 0.5, 0.4, 0.6), (1, 0.3, 0.2, 0.4)]}, "references", "F1"
    )
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 0.3], [3, 0.5]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "3"]


def test_plots_take_the_colours_of_the_page():
    figure = report_plots.reliability(report_numbers.bars([0.5], [True]))
    text = report_plots.svg(figure, "x", "says <b>")
    assert "var(--accent)" in text
    assert not [colour for colour in report_plots.VARIABLES if colour in text]
    assert 'aria-label="says &lt;b&gt;"' in text
    assert "http" not in text


def test_two_evaluations_are_compared_on_the_queries_of_both():
    before = evaluation(some())
    better = [replace(a, said=a.best, score=1.0) if a.outcome == "missed" else a for a in some()]
    after = evaluation([*better, answer(77, enrolled=True, score=0.9)], name="after")
    joined = pairs(before, after)
    assert len(joined) == 40
    named, wrong, nearest, strangers = changes(joined)
    assert named.before == pytest.approx(0.5 - 0.1)
    assert named.after == pytest.approx(0.9)
    assert (named.won, named.lost) == (5, 0)
    assert named.verdict == "better"
    assert nearest.verdict == wrong.verdict == strangers.verdict == "none beyond the interval"
    text = Page(html([before, after])).text
    assert "after against shelf" in text
    assert "for want of a counterpart: 1." in text


def test_more_strangers_named_is_worse():
    more = [replace(a, said=a.best) if not a.enrolled else a for a in some()]
    rows = changes(pairs(evaluation(some()), evaluation(more)))
    assert rows[-1].verdict == "worse"


def test_evaluations_of_other_queries_are_not_compared():
    other = evaluation([replace(a, query=f"other/{a.query}") for a in some()], name="other")
    assert "No query is in both" in Page(html([evaluation(some()), other])).text


def test_answers_that_differ_on_the_truth_are_no_pair():
    moved = [replace(a, truth=("another",)) for a in some()]
    assert pairs(evaluation(some()), evaluation(moved)) == []


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_pictures_are_small_and_show_their_box(tmp_path):
    Image.new("RGB", (900, 600), (40, 90, 200)).save(tmp_path / "a.png")
    pictures = Pictures(tmp_path)
    assert max(opened(pictures.uri("a.png")).size) == SIDE
    part = opened(pictures.uri("a.png", (300, 200, 400, 300)))
    assert part.format == "JPEG"
    yellow = np.asarray(part)[..., :2].min(axis=2) > 150
    assert yellow.any()
    assert yellow.mean() < 0.2


@pytest.mark.parametrize(
    "path", ["missing.png", "", "../../etc/passwd", "a\0b", "x" * 5000, "text.png"]
)
def test_what_is_no_picture_leaves_a_blank(tmp_path, path):
    (tmp_path / "text.png").write_text("not a picture")
    figure = Pictures(tmp_path).figure(path, None, "asked", "it")
    assert 'class="blank"' in figure
    assert "<img" not in figure


@pytest.mark.parametrize("box", [(-50, -50, 20, 20), (5000, 5000, 5100, 5100), (0, 0, 9999, 9999)])
def test_boxes_outside_the_picture_do_no_harm(tmp_path, box):
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    assert Pictures(tmp_path).uri("a.png", box)


def row(f1: float | None, fitted: bool = False, **settings) -> dict:
    """A row of a sweep."""
    said = {
        "method": "simple",
        "refs": 3,
        "threshold": 0.7,
        "margin": 0.05,
        "model": "m",
    } | settings
    if fitted:
        said["threshold"] = None
    count = {"tp": 5, "fp": 2, "fn": 3, "expected": 8, "precision": 0.7, "recall": 0.6, "f1": f1}
    low, high = (None, None) if f1 is None else (f1 - 0.1, f1 + 0.1)
    return {
        "settings": said, "threshold": said["threshold"] or 0.66, "fitted_on": 20 if fitted else 0,
        "ours": count | {"f1_low": low, "f1_high": high}, "legacy": count | {"recall": 2.03},
        "tpir": 0.5, "fpir": None,
    }  # fmt: skip


def test_a_sweep_alone_makes_a_page_with_table_map_and_curve():
    rows = [row(0.1 * refs, refs=refs) for refs in (1, 3, 5)]
    rows += [row(0.02 + 0.1 * refs, fitted=True, refs=refs) for refs in (1, 3, 5)]
    page = Page(html([], rows))
    assert "F1 over references per item" in page.text
    assert "20 items" in page.text
    assert "2.030" in page.text
    assert "The same in every row: matching" not in page.text
    assert "rule simple" in page.text
    assert len(page.of("svg")) == 1


def test_a_row_that_names_nothing_rightly_is_no_best():
    rows = [row(0.0, threshold=0.7), row(0.0, threshold=0.8), row(0.68, fitted=True)]
    text = html([], rows)
    assert "<b>" not in text
    assert "No T that was asked for names anything rightly; the rows with a fitted T do." in text
    found = html([], [*rows, row(0.2, threshold=0.3)])
    assert "<b>0.200</b>" in found
    assert "No T that was asked for" not in found


def test_a_wide_table_is_set_tight_in_what_scrolls():
    page = Page(html([], [row(0.5)]))
    assert [one["class"] for one in page.of("div") if "wide" in one.get("class", "")] == [
        "wide tight"
    ]
    sheet = (resources.files("kenspeckle.evaluate.report") / "page.css").read_text()
    rules = dict(re.findall(r"(?m)^(\.wide|\.tight table) \{([^}]*)\}", sheet))
    assert "overflow-x: auto" in rules[".wide"]
    assert "local" in rules[".wide"]  # a shade says on which side there is more


def test_the_map_holds_the_two_settings_tried_most_completely():
    rows = [
        row(t * m, threshold=t, margin=m) for t in (0.7, 0.8, 0.9) for m in (0.05, 0.1)
    ]  # fmt: skip
    page = Page(html([], rows))
    assert "F1 in % over threshold T and margin m" in page.text.replace("\u00a0", " ")
    assert len(page.of("svg")) == 2


@pytest.mark.parametrize("rows", [[row(None)], [row(None), row(None, threshold=0.8)], [row(0.5)]])
def test_a_sweep_with_little_in_it_is_told_all_the_same(rows):
    page = Page(html([], rows))
    assert "The sweep" in page.text
    assert not page.of("svg")


def test_hostile_words_in_a_sweep_stay_text():
    rows = [row(0.1 * n, model=f"{HOSTILE}{n}", refs=n, mode=HOSTILE) for n in (1, 2, 3)]
    page = Page(html([], rows))
    assert not page.of("script")
    assert "<script>" in page.text


def test_details_of_a_row_are_read_back():
    spread = {"name": "pairs of one item", "n": 0, "least": None}
    region = {
        "query": "photo.jpg", "box": [1, 2, 30, 40], "kind": "windows", "score": 0.5,
        "truth": ["cup"], "top": [["mug", 0.9], ["cup", 0.8]],
    }  # fmt: skip
    kept = {"distributions": [spread], "overlap": None, "regions": [region]}
    text = Page(html([], [row(0.5) | {"details": kept}])).text
    assert "pairs of one item" in text
    assert "windows 1 2 30 40" in text
    assert "mug 0.900, cup 0.800" in text


def test_a_sweep_tells_what_it_left_out_and_its_first_mistakes():
    told = row(0.5) | {"excluded": {"no such file": 4}}
    told["ours"] |= {"false": [["a.jpg", "cup"]], "missed": [["b.jpg", "mug"]]}
    text = Page(html([], [told, row(0.4, refs=5)])).text
    assert "no such file4" in text
    assert "a.jpgcup" in text
    assert "b.jpgmug" in text


def test_a_mistake_shows_the_crop_of_the_reference_that_it_should_have_been(tmp_path):
    picture = Image.new("RGB", (200, 100), (255, 0, 0))
    picture.paste((0, 0, 255), (100, 0, 200, 100))
    picture.save(tmp_path / "both.png")
    there = tmp_path / "both.png"
    samples = (
        Sample("reference", there, "both.png", (Truth("red", (0, 0, 100, 100)),)),
        Sample("reference", there, "both.png", (Truth("blue", (100, 0, 200, 100)),)),
    )
    dataset = Dataset("d", tmp_path, "table", samples, ())
    pictures = Pictures(tmp_path, dataset)
    shown = pictures.reference("blue", "both.png", "should be", "blue")
    image = opened(shown.partition('src="')[2].partition('"')[0])
    red, _, blue = np.asarray(image)[image.height // 2, -image.width // 4]
    assert blue > 200 > red
