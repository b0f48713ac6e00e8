"""Evaluations read back from JSON, and the options of a report."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from kenspeckle.cli.evaluate_report import beside
from kenspeckle.errors import InputError
from kenspeckle.evaluate import figures
from kenspeckle.evaluate.report.read import evaluation, read_evaluation
from kenspeckle.evaluate.result import (
    Answer,
    Counts,
    DrawFigures,
    Evaluation,
    Rate,
    RegionFigures,
)
from kenspeckle.evaluate.samples import Dataset


def made(folder: Path | str = "/nowhere") -> Evaluation:
    answers = tuple(
        Answer(
            0, f"{n}.jpg", (0, 0, 5, n + 1) if n % 2 else None, (f"item {n}",), n < 4,
            f"item {n}" if n % 2 else "", f"item {n}", "", 0.1 * n, 0.5, None if n else 0.2,
            None, 1, "whole", "ref.png", 2, 1,
        )
        for n in range(8)
    )  # fmt: skip
    rates = figures.rates(answers)
    found = RegionFigures(*(Rate(0.5, 0.4, 0.6, 9, 3, "bootstrap by item") for _ in range(3)))
    bare = {name: one.value for name, one in rates.items()}
    return Evaluation(
        "shelf", str(folder), {"model": "dummy", "seed": 3}, 0.05, answers,
        (DrawFigures(0, 7, 4, 4, 4, 4, 0.35, 20, bare, "margin"),), rates,
        (Counts("ours", "boxes", 1, 2, 3, 4, (("0: a.jpg", "cup"),)),), found,
        {"no such file": 2}, ("a note",), 1.25, "photos", None, {"regions embedded": 5.0},
    )  # fmt: skip


def saved(one: Evaluation, path: Path) -> Path:
    path.write_text(json.dumps(one.to_dict()), encoding="utf-8")
    return path


def test_what_was_written_is_read_back(tmp_path):
    assert read_evaluation(saved(made(), tmp_path / "a.json")) == made()


def test_numbers_that_json_lacks_come_back_as_they_were():
    data = json.loads(json.dumps(made().to_dict()))
    data["answers"][0] |= {"score": None, "similarity": None}
    data["draws"][0]["threshold"] = None
    read = evaluation(data)
    assert read.answers[0].score == -math.inf
    assert math.isnan(read.answers[0].similarity)
    assert read.draws[0].threshold == math.inf


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"name": 1}', '{"answers": [{}]}', "\x00", '"text"']
)
def test_other_files_are_refused_by_name(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other\.json: no evaluation with its answers"):
        read_evaluation(path)


def test_a_file_without_answers_is_refused(tmp_path):
    path = tmp_path / "short.json"
    path.write_text(json.dumps(made().to_dict(answers=False)))
    with pytest.raises(InputError, match="no evaluation with its answers"):
        read_evaluation(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_evaluation(tmp_path / "none.json")


def test_a_report_compares_with_a_former_run_and_tells_seen_labels_apart(tmp_path):
    former = saved(made(), tmp_path / "before.json")
    labels = tmp_path / "seen.txt"
    labels.write_text("item 0\n\n item 1 \n")
    asked = beside(tmp_path / "page.html", former, labels)
    assert asked.seen == {"item 0", "item 1"}
    asked.write(made(), Dataset("d", tmp_path, "table", (), ()))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Before and after" in page
    assert "Not seen in training" in page


def test_text_and_json_say_the_same_without_a_page(tmp_path):
    former = saved(made(), tmp_path / "before.json")
    labels = tmp_path / "seen.txt"
    labels.write_text("item 0\n\n item 1 \n")
    asked = beside(None, former, labels)
    text = "\n".join(asked.lines(made()))
    for words in (
        "Seen and unseen",
        "  not seen in training: tpir",
        "Before and after",
        "of items",
    ):
        assert words in text
    data = json.loads(json.dumps(asked.to_dict(made())))
    assert [one["title"] for one in data["familiar"]] == [
        "seen in training",
        "not seen in training",
    ]
    named = data["comparison"]["changes"][0]
    assert (named["change"], named["verdict"]) == (0, "none beyond the interval")
    assert set(data["comparison"]["apart"]) == {"seen in training", "not seen in training"}
    asked.write(made(), Dataset("d", tmp_path, "table", (), ()))
    assert not list(tmp_path.glob("*.html"))


def test_nothing_asked_nothing_said():
    asked = beside(None, None, None)
    assert (list(asked.lines(made())), asked.to_dict(made())) == ([], {})


def test_labels_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "seen.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="one label a line"):
        beside(tmp_path / "page.html", None, path)
    path.write_text(" \n\n")
    with pytest.raises(InputError, match="no label"):
        beside(None, None, path)
