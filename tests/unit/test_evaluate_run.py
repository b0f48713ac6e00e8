"""Whole evaluations on small drawn datasets, with the model that needs no weights."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from kenspeckle.config import ModelSettings
from kenspeckle.errors import InputError, SettingError
from kenspeckle.evaluate.bank import check_regions
from kenspeckle.evaluate.cache import VectorCache
from kenspeckle.evaluate.datasets import read
from kenspeckle.evaluate.fitting import Chosen
from kenspeckle.evaluate.judges import Ruled, Scored
from kenspeckle.evaluate.protocols import Plan, draws
from kenspeckle.evaluate.run import Prepared, judged, prepare
from kenspeckle.evaluate.text import answers as answer_lines
from kenspeckle.evaluate.text import lines
from kenspeckle.image.views import camera_views
from kenspeckle.match.methods import Rule
from kenspeckle.vectors.embed import open_embedder

DUMMY = ModelSettings(name="dummy")
Row = tuple[str, str, str, str]


def thing(seed: int, side: int = 96) -> Image.Image:
    choose = random.Random(seed)
    image = Image.new("RGB", (side, side), tuple(choose.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(8):
        x, y = choose.randrange(side - 20), choose.randrange(side - 20)
        box = (x, y, x + choose.randrange(8, 40), y + choose.randrange(8, 40))
        pen.rectangle(box, fill=tuple(choose.randrange(256) for _ in range(3)))
    return image


def table(folder: Path, rows: Sequence[Row]) -> Path:
    path = folder / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("role", "label", "path", "box"))
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen things, two references and two photos each, and eight strangers; of some photos the
    thing lies in a scene, and its box is known."""
    folder = tmp_path_factory.mktemp("labelled")
    rows: list[Row] = []
    for number in range(16):
        image = thing(number)
        views = camera_views(image, 3, number, 0.3)
        for place, one in enumerate((image, views[0])):
            one.save(folder / f"r{number}-{place}.png")
            rows.append(("reference", f"thing {number}", f"r{number}-{place}.png", ""))
        views[1].save(folder / f"q{number}.png")
        rows.append(("query", f"thing {number}", f"q{number}.png", ""))
        scene = Image.new("RGB", (240, 200), (120, 130, 110))
        scene.paste(views[2].resize((100, 100)), (30 + number, 40))
        scene.save(folder / f"s{number}.png")
        rows.append(
            ("query", f"thing {number}", f"s{number}.png", f"{30 + number} 40 {130 + number} 140")
        )
    for number in range(8):
        thing(100 + number).save(folder / f"x{number}.png")
        rows.append(("stranger", "", f"x{number}.png", ""))
    return table(folder, rows)


def prepared(path: Path, regions: str = "whole", count: int = 2, **given: object) -> Prepared:
    data = read(path)
    plan = Plan(**given)  # type: ignore[arg-type]
    return prepare(data, draws(data, count, plan=plan), open_embedder(DUMMY), regions=regions)


def test_an_evaluation_has_every_figure_and_counts_everything(labelled: Path) -> None:
    found = judged(prepared(labelled), Scored("margin"), fpir=0.2, with_details=True)
    for name in ("rank-1", "rank-5", "tpir", "fnir", "misidentified", "fpir", "fpir per region",
                 "auroc", "oscr", "ece", "brier"):  # fmt: skip
        one = found.rates[name]
        assert 0 <= one.low <= one.value <= one.high <= 1
    assert found.rates["rank-1"].value > 0.5
    assert found.rates["tpir"].value + found.rates["fnir"].value == pytest.approx(1)
    assert sum(one.mated + one.strangers for one in found.draws) == len(found.answers)
    assert found.confidence_from == "photos"
    for one in found.counts:
        assert one.expected == sum(a.enrolled for a in found.answers)
    assert found.counts[0].tp + found.counts[0].fn == found.counts[0].expected
    assert found.details is not None
    assert found.details.distributions[3].n > 0
    text = "\n".join([*lines(found), *answer_lines(found)])
    for words in ("TPIR", "AUROC", "expected", "First misses", "Cosines in detail", "thing 1"):
        assert words in text


def test_the_threshold_knows_nothing_of_what_is_reported(labelled: Path) -> None:
    """With every reported photo exchanged for another the fitted threshold is the same."""
    whole = prepared(labelled)
    before = judged(whole, Scored("margin"), fpir=0.2)
    drawn = tuple(
        replace(one, queries=tuple(replace(q, rows=one.gallery.rows[:1]) for q in one.queries))
        for one in whole.draws
    )
    after = judged(replace(whole, draws=drawn), Scored("margin"), fpir=0.2)
    assert [d.threshold for d in before.draws] == [d.threshold for d in after.draws]
    assert before.rates["fpir"] != after.rates["fpir"]
    for one in whole.draws:
        shown = {q.item for q in one.queries} | set(one.gallery.labels)
        assert not shown & {q.item for q in one.fitting}


def test_a_rule_is_judged_at_its_own_threshold_and_at_a_fitted_one(labelled: Path) -> None:
    whole = prepared(labelled)
    own = judged(whole, Ruled(Rule("multi-ref", pool="max")), fpir=None)
    fitted = judged(whole, Ruled(Rule("multi-ref", pool="max")), fpir=0.2)
    assert {d.threshold for d in own.draws} == {0.7}
    assert own.draws[0].fitted_on == 0
    assert {d.threshold for d in fitted.draws} != {0.7}
    assert fitted.draws[0].fitted_on > 0
    assert "ece" not in own.rates
    legacy = judged(whole, Ruled(Rule("multi-ref", legacy=True)), fpir=None, count="legacy")
    assert [one.rule for one in legacy.counts] == ["legacy", "ours"]


def test_finding_and_naming_apart(labelled: Path) -> None:
    truth = judged(prepared(labelled, "truth"), Scored("margin"), fpir=0.2)
    assert truth.regions is not None
    assert truth.regions.recall.value == 1.0
    assert truth.regions.naming.value == truth.regions.end_to_end.value
    assert {a.box is None for a in truth.answers} == {True, False}
    windows = judged(prepared(labelled, "windows"), Scored("margin"), fpir=0.2)
    assert windows.regions is not None
    assert windows.regions.end_to_end.value <= windows.regions.recall.value
    assert windows.counts[0].unit == "boxes"
    assert max(a.asked for a in windows.answers) > 1
    whole = judged(prepared(labelled), Scored("margin"), fpir=0.2)
    assert whole.regions is not None
    assert whole.regions.recall.value == 0.0  # a whole scene meets no box
    assert "Finding and naming apart" in "\n".join(lines(windows))


def test_a_change_of_rule_embeds_nothing(labelled: Path, tmp_path: Path) -> None:
    data = read(labelled)
    with VectorCache(tmp_path) as cache:
        first = prepare(data, draws(data, 1), open_embedder(DUMMY), cache=cache)
        made = cache.embedded
        again = prepare(data, draws(data, 1), open_embedder(DUMMY), cache=cache)
        judged(again, Ruled(Rule("simple")), fpir=0.1)
        assert cache.embedded == made > 0
    assert judged(first, Scored(), fpir=0.1).answers == judged(again, Scored(), fpir=0.1).answers


def test_pictures_that_fail_are_left_out_and_counted(tmp_path: Path) -> None:
    rows: list[Row] = []
    for number in range(8):
        thing(number).save(tmp_path / f"r{number}.png")
        camera_views(thing(number), 1, number, 0.3)[0].save(tmp_path / f"q{number}.png")
        rows += [
            ("reference", f"t{number}", f"r{number}.png", ""),
            ("query", f"t{number}", f"q{number}.png", ""),
        ]
    (tmp_path / "r0.png").write_bytes(b"no picture")
    (tmp_path / "q1.png").write_bytes(b"none either")
    rows.append(("query", "t2", "gone.png", ""))
    found = judged(prepared(table(tmp_path, rows), strangers=0.0, fitting=0.0), Scored(), fpir=0.05)
    assert found.excluded["reference that could not be read"] == 2  # one in each of two draws
    assert found.excluded["photo of an item without a readable reference"] == 2
    assert found.excluded["photo that could not be read"] == 2
    assert found.excluded["no such file"] == 1
    assert not any(not a.enrolled for a in found.answers)  # an item that lost its picture is none
    text = "\n".join(lines(found))
    assert "No strangers to ask about" in text
    assert "every photo gets a name" in text
    assert "fpir" not in found.rates


def test_one_item_and_one_reference(tmp_path: Path) -> None:
    thing(0).save(tmp_path / "r.png")
    camera_views(thing(0), 1, 0, 0.3)[0].save(tmp_path / "q.png")
    path = table(tmp_path, [("reference", "t", "r.png", ""), ("query", "t", "q.png", "")])
    found = judged(prepared(path, fitting=0.0), Scored("cosine"), fpir=0.05)
    assert [a.said for a in found.answers] == ["t", "t"]
    assert found.draws[0].items == 1
    rule = judged(prepared(path, fitting=0.0), Ruled(Rule("margin", threshold=-1.0)), fpir=None)
    assert rule.answers[0].said == "t"


def test_all_references_identical(tmp_path: Path) -> None:
    rows: list[Row] = []
    for number in range(8):
        image = thing(0)
        image.putpixel((0, number), (1, 2, number))  # other bytes, the same picture to any model
        image.save(tmp_path / f"r{number}.png")
        thing(50 + number).save(tmp_path / f"q{number}.png")
        rows += [
            ("reference", f"t{number}", f"r{number}.png", ""),
            ("query", f"t{number}", f"q{number}.png", ""),
        ]
    found = judged(prepared(table(tmp_path, rows)), Scored("margin"), fpir=0.05)
    assert all(abs(a.margin or 0) < 0.01 for a in found.answers)
    assert found.rates["tpir"].value < 0.5


def test_the_same_picture_for_every_item_is_said_to_be_on_both_sides(tmp_path: Path) -> None:
    rows: list[Row] = []
    for number in range(8):
        thing(0).save(tmp_path / f"r{number}.png")
        thing(50 + number).save(tmp_path / f"q{number}.png")
        rows += [
            ("reference", f"t{number}", f"r{number}.png", ""),
            ("query", f"t{number}", f"q{number}.png", ""),
        ]
    with pytest.raises(InputError, match=r"8 × belongs to both sides of the draw, by .* one file"):
        prepared(table(tmp_path, rows), count=1)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan"), 2.0])
def test_a_rate_that_none_can_have_is_refused(labelled: Path, rate: float) -> None:
    with pytest.raises(SettingError, match=r"a rate above 0 and below 1"):
        judged(prepared(labelled, count=1), Scored(), fpir=rate)


def test_what_cannot_be_asked_is_refused(labelled: Path, tmp_path: Path) -> None:
    whole = prepared(labelled, count=1)
    with pytest.raises(SettingError, match="no cohort"):
        judged(whole, Scored("cohort"), fpir=0.1)
    with pytest.raises(SettingError, match="ours or legacy"):
        judged(whole, Scored(), fpir=0.1, count="other")
    with pytest.raises(SettingError, match="come with tagging"):
        check_regions("detect:detr", boxes=True)
    with pytest.raises(SettingError, match="without boxes"):
        check_regions("truth", boxes=False)
    with pytest.raises(SettingError, match="'corner'"):
        check_regions("corner", boxes=True)
    for name in ("r", "q"):
        (tmp_path / f"{name}.png").write_bytes(b"no picture")
    path = table(tmp_path, [("reference", "t", "r.png", ""), ("query", "t", "q.png", "")])
    with pytest.raises(InputError, match="could not be read"):
        prepared(path, fitting=0.0)


@pytest.mark.assets
def test_coins(assets: Path) -> None:
    data = read(assets / "data" / "coins" / "split-closed.csv")
    plan = Plan(queries=3)
    ready = prepare(data, draws(data, 2, plan=plan), open_embedder(ModelSettings(name="default")))
    found = judged(ready, Scored("margin"), fpir=0.05)
    assert found.rates["rank-1"].value > 0.5  # of the four enrolled or fewer
    assert {one.items for one in found.draws} == {2}
    assert "takes 59" in "\n".join(lines(found))


def test_the_score_is_chosen_on_items_that_are_not_reported(labelled: Path) -> None:
    whole = prepared(labelled)
    found = judged(whole, Chosen(), fpir=0.2)
    drawn = tuple(
        replace(one, queries=tuple(replace(q, rows=one.gallery.rows[:1]) for q in one.queries))
        for one in whole.draws
    )
    other = judged(replace(whole, draws=drawn), Chosen(), fpir=0.2)
    assert [(d.rule, d.threshold) for d in found.draws] == [
        (d.rule, d.threshold) for d in other.draws
    ]
    assert {d.rule for d in found.draws} <= {"ours, cosine", "ours, margin"}  # no cohort, no level
    for number, one in enumerate(found.draws):
        kind = Scored("cosine" if "cosine" in one.rule else "margin")
        alone = judged(replace(whole, draws=(whole.draws[number],)), kind, fpir=0.2)
        assert alone.draws[0].threshold == one.threshold
