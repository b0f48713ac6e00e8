"""`kenspeckle demo`: most known photos right, and a page that tells the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from kenspeckle.cli.demo_page import Shown, page, uri
from kenspeckle.cli.demo_scene import MARK, Answer, Shot, licences, prepare
from kenspeckle.errors import InputError
from kenspeckle.types import Candidate, Decision, Item, Reference, Region, in_percent

pytestmark = pytest.mark.slow


class Run:
    """One run of the command, shared by the tests that look at it."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "demo"
        command = [sys.executable, "-m", "kenspeckle", "demo", "--out", str(self.out)]
        self.done = subprocess.run(command, capture_output=True, text=True, timeout=280)
        assert self.done.returncode == 0, self.done.stderr
        self.page = (self.out / "page.html").read_text(encoding="utf-8")

    def counts(self, line: str) -> list[int]:
        """The whole numbers in one line of the summary."""
        found = next(text for text in self.done.stdout.splitlines() if text.startswith(line))
        return [int(number) for number in re.findall(r"\b\d+\b", found)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("demo"))


def test_it_ends_well_and_tells_where_the_page_is(run: Run) -> None:
    assert str(run.out / "page.html") in run.done.stdout
    assert (run.out / "gallery.ken").is_file()


def test_most_known_photos_are_named_rightly(run: Run) -> None:
    for made in ("real", "rendered"):
        right, known, unknown, wrong = run.counts(f"{made} photos of enrolled things")
        assert right + unknown + wrong == known
        assert right > known / 2
        assert wrong <= known / 10
    assert "in the time given" not in run.page, "the rule is fitted on every view"


def test_most_strangers_are_refused(run: Run) -> None:
    for made in ("real", "rendered"):
        refused, strangers, named = run.counts(f"{made} photos of strangers")
        assert refused + named == strangers
        assert refused > strangers / 2


def test_the_broken_file_is_named_and_the_others_are_answered(run: Run) -> None:
    photos = sorted((run.out / "photos").iterdir())
    lines = {line.split()[0]: line for line in run.done.stdout.splitlines() if ".jpg" in line}
    assert set(lines) >= {path.name for path in photos}
    assert "unreadable" in lines["broken-transfer.jpg"]
    assert "truncated" in lines["broken-transfer.jpg"] or "whole" in lines["broken-transfer.jpg"]


class Reader(HTMLParser):
    """Tags, addresses and badges of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.classes: Counter[str] = Counter()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [given[name] or "" for name in ("src", "href") if name in given]
        self.classes.update((given.get("class") or "").split())
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_whole_and_leads_nowhere(run: Run) -> None:
    seen = Reader(run.page)
    assert not seen.open
    assert seen.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in seen.addresses)
    assert "<script" not in run.page
    assert "@import" not in run.page
    assert len(run.page) < 4_000_000


def test_the_page_agrees_with_the_table(run: Run) -> None:
    classes = Reader(run.page).classes
    right = run.counts("real photos of enrolled")[0] + run.counts("rendered photos of enrolled")[0]
    refused = run.counts("real photos of strang")[0] + run.counts("rendered photos of strang")[0]
    named = run.counts("real photos of strang")[2] + run.counts("rendered photos of strang")[2]
    assert classes["shot"] == len(list((run.out / "photos").iterdir()))
    assert (classes["right"], classes["refused"], classes["named"]) == (right, refused, named)
    assert classes["unreadable"] == 1


def test_the_page_says_what_is_real_and_under_which_licence(run: Run) -> None:
    text = " ".join(Reader(run.page).text)
    for said in ("rendered", "MIT License", "Apache License 2.0", "Noto", "chosen"):
        assert said in text
    assert text.count("real") >= 32
    assert "of as many others" in text or "at most" in text or "no promise" in text


def test_it_can_be_run_again_but_takes_no_other_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = [shot.path.read_bytes() for shot in prepare(out)]
    assert [shot.path.read_bytes() for shot in prepare(out)] == first
    assert (out / MARK).is_file()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "gallery.ken").write_bytes(b"precious")
    with pytest.raises(InputError, match="other things"):
        prepare(mine)
    assert (mine / "gallery.ken").read_bytes() == b"precious"
    with pytest.raises(InputError, match="a file"):
        prepare(mine / "gallery.ken")


def test_its_pictures_are_few_small_and_licensed() -> None:
    import kenspeckle.cli

    folder = Path(kenspeckle.cli.__path__[0]) / "demo_pictures"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 1_500_000
    sets = {path.relative_to(folder).parts[0] for path in files} - {"LICENCES.md"}
    assert all(f"{name}/" in licences() for name in sets)
    for path in files:
        if path.suffix in (".jpg", ".png"):
            with Image.open(path) as image:
                image.load()


def test_a_picture_that_cannot_be_read_has_no_address(tmp_path: Path) -> None:
    broken = tmp_path / "x.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0")
    assert uri(broken, 100) == ""
    assert uri(tmp_path / "none.jpg", 100) == ""


def test_text_on_the_page_is_escaped(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>'
    shot = Shot(tmp_path / "x.jpg", evil, "", "broken")
    shown = Shown(tmp_path, [Item(evil, evil)], [], None, (1.0, 2.0), evil)
    text = page([Answer(shot, None, evil, "unreadable", 0.1)], shown)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_promise_is_told_once_not_with_every_photo(run: Run) -> None:
    text = " ".join(Reader(run.page).text)
    assert text.count("those like your items") <= 2
    assert text.count("nearest is ") >= 40


@pytest.mark.parametrize(
    ("confidence", "known", "said"),
    [
        (0.99999, True, "confidence &gt;99%<"),
        (0.876, True, "confidence 88%<"),
        (0.001, False, "confidence &lt;1% that it is Mug: not enough<"),
    ],
)
def test_page_and_table_tell_the_confidence_alike(
    tmp_path: Path, confidence: float, known: bool, said: str
) -> None:
    mug = Candidate("mug", "Mug", 0.9, Reference("mug", "Mug", "mug.jpg"), 1)
    region = Region((0, 0, 9, 9), "whole")
    name = ("mug", "Mug") if known else ("", "")
    numbers = (1.0, 0.5, 0.9, 0.4, confidence)
    answer = Decision(known, *name, "", True, *numbers, region, (mug,), ("a reason",))
    shot = Shot(tmp_path / "x.jpg", "a mug", "mug", "real")
    shown = Shown(tmp_path, [], [], None, (1.0, 2.0), "")
    text = page([Answer(shot, answer, "", "right", 0.1)], shown)
    assert said in text
    assert escape(in_percent(confidence)) in text


def test_the_table_names_it_as_identify_does(run: Run) -> None:
    (head,) = (text for text in run.done.stdout.splitlines() if text.startswith("photo "))
    assert head.split() == ["photo", "answer", "confidence", "judged", "why"]
