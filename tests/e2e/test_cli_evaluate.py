"""`kenspeckle evaluate` as people call it, also with the options of the logo test bench."""

from __future__ import annotations

import csv
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

import kenspeckle
from kenspeckle.image.views import camera_views

DEMO = Path(kenspeckle.__file__).parent / "cli" / "demo_pictures"


@pytest.fixture
def run(run, command):
    """In this process, but for what needs an environment of its own."""

    def call(*words, env=None):
        if env is not None:
            return run(*words, env=env)
        done = command(*words, code=None)
        return subprocess.CompletedProcess(words, done.code, done.out, done.err)

    return call


@pytest.fixture
def labelled(tmp_path, drawn):
    """A folder an item: fourteen drawn things, four photos each."""
    folder = tmp_path / "data"
    for number in range(14):
        place = folder / f"brand {number}"
        place.mkdir(parents=True)
        for n, view in enumerate(camera_views(drawn(number, 120), 4, number, 0.3)):
            view.save(place / f"{n}.png")
    return folder


@pytest.fixture
def scenes(tmp_path, drawn):
    """A table with boxes: eight things, each also somewhere in a scene."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    rows = []
    for number in range(8):
        picture = drawn(number, 100)
        picture.save(folder / f"r{number}.png")
        rows.append(("reference", f"t{number}", f"r{number}.png", ""))
        scene = Image.new("RGB", (300, 220), (90, 100, 110))
        scene.paste(picture, (20 + 10 * number, 60))
        scene.save(folder / f"q{number}.png")
        box = f"{20 + 10 * number} 60 {120 + 10 * number} 160"
        rows.append(("query", f"t{number}", f"q{number}.png", box))
    with (folder / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("role", "label", "path", "box"), *rows])
    return folder


def told(done):
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_real_photos_of_the_demo(run, tmp_path):
    """Groceries that the package ships: half left out as strangers, the default model."""
    path = tmp_path / "demo.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("role", "label", "path"))
        for one in sorted((DEMO / "references").glob("*/*.jpg")):
            table.writerow(("reference", one.parent.name, one))
        for one in sorted((DEMO / "photos").glob("*.jpg")):
            table.writerow(("query", one.stem.split("__")[0], one))
        for one in sorted((DEMO / "strangers").glob("*.jpg")):
            table.writerow(("stranger", one.stem, one))
    out = tmp_path / "found.json"
    text = told(run("evaluate", path, "--draws", 2, "-e", "default", "--fpir", 0.2, "--json", out))
    assert "Gallery of N = 6 items" in text
    data = json.loads(out.read_text())
    assert data["rates"]["rank-1"]["value"] > 0.7
    assert data["rates"]["auroc"]["value"] > 0.6
    assert data["settings"]["model"].startswith("efflite0-288-gem-w384")
    assert {row["fitted_on"] for row in data["draws"]} == {10}
    assert len(data["answers"]) == sum(r["mated"] + r["strangers"] for r in data["draws"])


def test_same_seed_same_figures_under_any_hash_seed(run, labelled):
    found = [
        told(run("evaluate", labelled, "--draws", 2, "-s", 5, env={"PYTHONHASHSEED": seed}))
        for seed in ("1", "2")
    ]
    assert found[0] == found[1]
    assert found[0] != told(run("evaluate", labelled, "--draws", 2, "-s", 6))


def test_the_bench_by_its_own_options(run, labelled, tmp_path):
    words = (
        *("-n", 4, "-t", 0.6, "-d", 0.5, "-e", "dummy", "-s", 7, "--matching-method", "multi-ref"),
        *("--margin", 0.02, "--refs-per-logo", 2, "--min-matching-refs", 1),
        *("--use-max-similarity", "--positive-samples", 2, "--negative-samples", 3),
        *("--preprocess-mode", "letterbox", "--similarity-details", "--no-cache", "-v"),
        *("--output-file", tmp_path / "block.txt"),
    )
    first = told(run("evaluate", labelled, *words))
    for text in (
        "multi-ref max, n 1, T 0.6, m 0.02",
        "items drawn: 4",
        "references of each, at most: 2",
        "preprocessing: letterbox",
        "Gallery of N = 4 items",
        "true positives",
        "precision 0.",
        "Cosines in detail",
        "The first 1",
        "Answers (draw, photo",
    ):
        assert text in first
    told(run("evaluate", labelled, *words))
    blocks = (tmp_path / "block.txt").read_text()
    assert blocks.count("=== ") == 2
    assert blocks.count("Cosines in detail") == 2


def test_the_bench_by_its_defaults(run, labelled):
    text = told(run("evaluate", labelled, "--bench", "--clear-cache"))
    for words in ("margin, T 0.7, m 0.05", "items drawn: 10", "references of each, at most: 3"):
        assert words in text
    fitted = told(run("evaluate", labelled, "--bench", "--fpir", "0.3"))
    assert "threshold: fitted for FPIR 0.3" in fitted


def test_true_boxes_and_both_counts(run, scenes):
    text = told(run("evaluate", scenes, "--regions", "truth", "--fpir", 0.3))
    assert "boxes met by a region (IoU ≥ 0.5)                  100.0 %" in text
    legacy = told(run("evaluate", scenes, "--regions", "windows", "--count", "legacy"))
    assert legacy.index("Counted legacy") < legacy.index("Counted ours (one name to one true box")
    assert "regions: truth" in told(run("evaluate", scenes, "--bench"))
    plain = run("evaluate", scenes, "--draws", 1)
    assert "Regions whole: each picture is asked about as a whole" in plain.stderr
    assert "--regions truth asks about each" in plain.stderr
    assert "Regions truth" in run("evaluate", scenes, "--bench").stderr
    swept = ("sweep", scenes, *("--num-logos", 4, "--min-matching-refs", 1, "--no-cache"))
    found = run(*swept).stderr
    assert "Regions truth: each true box is asked about. --regions whole asks" in found
    assert "Regions truth" not in run(*swept, "--regions", "whole").stderr


def test_json_to_stdout_is_one_object(run, labelled):
    done = run("evaluate", labelled, "--draws", 1, "--json", "-")
    assert json.loads(told(done))["rates"]["tpir"]["items"] > 0


def test_a_report_is_written(run, labelled, tmp_path):
    pytest.importorskip("matplotlib")
    told(run("evaluate", labelled, "--draws", 1, "--html", tmp_path / "r.html"))
    assert "<svg" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--fpir", "0"), "--fpir"),
        (("--fpir", "1"), "--fpir"),
        (("--fpir", "-0.1"), "--fpir"),
        (("--fpir", "0.1", "-t", "0.5"), "-t"),
        (("-t", "nan"), "-t"),
        (("-t", "nan", "--method", "simple"), "--threshold"),
        (("--method", "psychic"), "--method"),
        (("--score", "loudness"), "--score"),
        (("--margin", "0.1"), "--margin"),
        (("--method", "multi-ref", "--rule", "legacy"), "--threshold"),
        (("--regions", "detect:detr"), "come with tagging"),
        (("--regions", "truth"), "without boxes"),
        (("--regions", "corner"), "--regions"),
        (("--count", "mine"), "--count"),
        (("--endpoint", "ftp://host/"), "--endpoint"),
        (("--endpoint", "http://host/", "--endpoint-seconds", "0"), "--endpoint-seconds"),
        (("--endpoint", "http://host/", "--method", "simple"), "--method"),
        (("--endpoint", "http://host/", "-n", "3"), "--method"),
        (("--draws", "0"), "--draws"),
        (("--negative-samples", "-1"), "--negative-samples"),
    ],
)
def test_wrong_options(run, labelled, words, option):
    done = run("evaluate", labelled, *words)
    assert done.returncode == 2, done.stderr
    assert option in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_no_dataset(run, tmp_path, name):
    (tmp_path / "empty").mkdir()
    done = run("evaluate", tmp_path / name)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1


def test_another_system_behind_an_address(run, labelled):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"label": "brand 3", "score": 0.5}')

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        text = told(run("evaluate", labelled, "--endpoint", url))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert "true positives 4, false positives 52, false negatives 52, expected 56" in text
    done = run("evaluate", labelled, "--endpoint", url)
    assert done.returncode == 1
    assert "Check that it is running" in done.stderr
