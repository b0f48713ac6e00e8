"""What the terminal gets: safe text, tables, progress, numbers."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.cli import console

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_safe_text_moves_no_cursor_and_can_be_written(text):
    shown = console.safe(text)
    shown.encode("utf-8")
    assert not any(
        unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in shown
    )


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_text_that_hides_nothing_stays_as_it_is(text):
    assert console.safe(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31m", "a\\x1b[31m"),
        ("two\nlines\t", "two\\x0alines\\x09"),
        ("caf\udce9.jpg", "caf\\xe9.jpg"),
        ("\ud800", "\\ud800"),
        ("gpj.\u202e", "gpj.\\u202e"),
        ("\u2028", "\\u2028"),
        ("Ünïcode – 日本 ✓", "Ünïcode – 日本 ✓"),
        (3, "3"),
    ],
)
def test_safe(text, shown):
    assert console.safe(text) == shown


def test_a_table_in_a_pipe_is_aligned_lines(capsys):
    console.table(("name", "n"), [("a", 1), ("long\nname", 22)])
    assert capsys.readouterr().out.splitlines() == [
        "name          n",
        "a             1",
        "long\\x0aname  22",
    ]


def test_an_empty_table_is_its_head(capsys):
    console.table(("name", "n"), [])
    assert capsys.readouterr().out == "name  n\n"


def test_one_long_cell_does_not_pad_every_row_of_a_pipe(capsys):
    long = "x" * 244
    console.table(("name", "n"), [("a", 1), (long, 2), ("four", 3)])
    said = capsys.readouterr().out.splitlines()
    assert said == ["name  n", "a     1", f"{long}  2", "four  3"]
    console.table(("x" * 99, "n"), [("y" * 60, 1)])
    assert capsys.readouterr().out.splitlines() == ["x" * 99 + "  n", "y" * 60 + "  1"]


def test_wide_letters_take_two_columns_and_marks_none(capsys):
    console.table(("name", "n"), [("日本", 1), ("cafe\u0301s", 2)])
    assert capsys.readouterr().out == "name   n\n日本   1\ncafe\u0301s  2\n"


TOLD = "  of those like your items at most 22 % get a name, see kenspeckle calibrate --strangers"


def test_a_sentence_is_one_line_in_a_pipe(capsys):
    console.prose(TOLD)
    assert capsys.readouterr().out == TOLD + "\n"


@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_a_sentence_breaks_between_words_in_a_terminal(capsys, monkeypatch, width):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    console.prose(TOLD)
    said = capsys.readouterr().out.splitlines()
    assert all(len(part) <= width and part.startswith("  ") for part in said)
    assert " ".join(part.strip() for part in said) == TOLD.strip()
    assert len(said) == -(-len(TOLD) // width) or width == 30


MODELS = [
    ("efflite0-288-gem-w384", "yes", "Apache-2.0", "`default`: the one that is taken"),
    ("clip-vit-b-32", "no", "MIT", "needs the extra 'torch', or 'hub' to be pulled"),
]
HEAD = ("model", "here", "licence", "about")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_terminal_cuts_no_word_and_no_line_is_wider(capsys, monkeypatch, width):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    console.table(HEAD, MODELS)
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, said.splitlines())) <= width
    for word in " ".join([*HEAD, *(cell for row in MODELS for cell in row)]).split():
        assert re.search(rf"(^|\s){re.escape(word)}(\s|$)", said), word
    assert ("─" in said) == (width > 40), "rows below each other where the words find no room"


def test_a_long_word_alone_does_not_undo_a_table(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    console.table(("about", "value"), [("weights", "e1" * 32), ("head", "none")])
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert "─" in said
    assert max(map(len, said.splitlines())) <= 60
    assert "".join(re.findall("[e1]{2,}", said)) == "e1" * 32


@given(ANY_TEXT)
def test_json_lines_hold_any_text(text):
    written: list[str] = []

    class Out:
        write = staticmethod(written.append)
        flush = staticmethod(lambda: None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", Out)
        console.json_line({"name": text})
    (line,) = written
    assert line.isascii()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert json.loads(line)["name"].encode("utf-16", "surrogatepass") == text.encode(
        "utf-16", "surrogatepass"
    )


def test_progress_in_a_pipe_is_few_lines(capsys, monkeypatch):
    now = iter([0.0, *(step * 0.5 for step in range(1, 11))])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with console.progress("indexed") as tell:
        for done in range(1, 11):
            tell(done, 10, "a.jpg")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["indexed 4 of 10", "indexed 8 of 10", "indexed 10 of 10"]


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KB"),
        (3 << 20, "3.0 MB"),
        (5 << 30, "5.0 GB"),
    ],
)
def test_size(count, shown):
    assert console.size(count) == shown
