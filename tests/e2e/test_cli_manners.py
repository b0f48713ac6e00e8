"""Exit codes, help, prefixes, broken pipes and interrupts of the command line."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from array import array
from dataclasses import fields
from pathlib import Path

import pytest

from kenspeckle import __version__
from kenspeckle.cli.group import COMMANDS
from kenspeckle.config import IdentifySettings

NAMES = [row.name for row in COMMANDS if not row.hidden]


def listed(text: str) -> list[str]:
    """Names of the commands that a help text lists, in order."""
    _, _, below = text.partition("Commands:\n")
    return [line.split()[0] for line in below.splitlines() if line[:3].strip() and line[2] != " "]


@pytest.mark.parametrize("words", [[], ["help"], ["-h"], ["--help"], ["--he"]])
def test_help_lists_the_commands_on_stdout(run, words):
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert listed(done.stdout) == NAMES


def test_an_unknown_command_lists_them_on_stderr(run):
    done = run("nope\x1b[31m")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("unknown command: nope\\x1b[31m\n")
    assert listed(done.stderr) == NAMES


def test_a_near_name_is_offered_below_the_first_line(run):
    done = run("indx")
    assert done.stderr.splitlines()[:3] == ["unknown command: indx", "did you mean index?", ""]
    done = run("models", "verfy")
    assert done.stderr.splitlines()[1] == "did you mean verify?"
    assert "did you mean" not in run("zzz").stderr


def test_unknown_below_a_group(run):
    done = run("models", "nope")
    assert done.returncode == 1
    assert done.stderr.startswith("unknown command: nope\n")
    assert "pull" in listed(done.stderr)


def test_former_names_work_and_are_told_beside_the_present_one(run):
    said = " ".join(run().stdout.split())
    assert said.count("price site") == 1
    assert (
        "scrape-prices Ask a price site what cards cost (formerly scrape_prices, prices)." in said
    )
    for name in ("scrape-prices", "scrape_prices", "prices"):
        assert "yuyu-tei" in run(name, "--site", "list").stdout


@pytest.mark.parametrize("name", [row.name for row in COMMANDS])
def test_each_command_has_help_that_begins_like_the_list(run, name):
    done = run("help", name)
    assert (done.returncode, done.stderr) == (0, "")
    about = next(row.about for row in COMMANDS if row.name == name)
    assert about in " ".join(done.stdout.split())


def test_help_of_a_command_by_any_way(run):
    said = run("help", "index").stdout
    assert said == run("index", "--help").stdout == run("index", "-h").stdout
    assert run("models", "pull", "-h").stdout == run("help", "models", "pull").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["index", "--nope"], "--nope"),
        (["identify"], "PHOTO"),
        (["index"], "name a folder or table of references"),
        (["index", "a", "--refs", "b"], "name the references once"),
        (["index", "a", "--naming", "funny"], "cards, plain or auto"),
        (["identify", "a.jpg", "--regions", "all"], "whole, center, windows, quad or auto"),
        (["identify", "a.jpg", "--top", "none"], "--top"),
        (["index", "a", "--fpir", "2"], "a rate above 0 and below 1"),
        (["index", "a", "--fpir", "0"], "a rate above 0 and below 1"),
        (["index", "a", "--callers", "-1"], "0 to 256"),
        (["verify", "--top-confusables", "-1"], "--top-confusables"),
        (["index", ""], "an empty name"),
        (["config", "zz"], "zz"),
        (["--nope"], "--nope"),
        (["models", "pull", "--nope"], "--nope"),
    ],
)
def test_a_wrong_option_exits_with_2(run, words, said):
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_an_ambiguous_prefix_names_both(run):
    done = run("index", "a", "--n", "plain")
    assert done.returncode == 2
    assert "--naming" in done.stderr
    assert "--no-calibrate" in done.stderr


@pytest.mark.parametrize("prefix", ["--proj", "--p", "--projec=", "--projection"])
def test_unique_prefixes_of_the_former_options_count(run, things, prefix):
    words = [prefix + "no-head.pt"] if prefix.endswith("=") else [prefix, "no-head.pt"]
    done = run("index", "--refs", things, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("no-head.pt: no such file; expected a projection head")


def test_a_former_prefix_means_what_it_meant(run, things):
    done = run("index", "--r", things, "--o", "out.ken", "--no-cal")
    assert done.returncode == 0, done.stderr
    assert "6 added" in done.stdout


def test_a_value_is_not_taken_for_a_prefix(run, things):
    done = run("index", things, "--out", "--naming", "--no-c")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("--naming: 6 added")


def test_version(run):
    assert run("--version").stdout == f"kenspeckle {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["identify", "x.jpg"], "gallery.ken or card_index.npz: no such file"),
        (["info", "--index", "gone.ken"], "gone.ken"),
        (["verify"], "card_index.npz"),
        (["index", "gone"], "gone: no such folder"),
        (["index", "--refs", "gone"], "gone: not a folder"),
        (["models", "info", "nope"], "nope"),
    ],
)
def test_an_expected_failure_is_one_line_and_exit_1(run, words, said):
    done = run(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my.ken", "no such file here. Make it with: kenspeckle index FOLDER --out my.ken\n"),
        ("a b.ken", "no such file here. Make it with: kenspeckle index FOLDER --out 'a b.ken'\n"),
        (
            "things",
            "a folder; {} To make one of its pictures: kenspeckle index things --out FILE\n",
        ),
        ("empty.ken", "an empty file; {} Name another file, or delete this one and make it anew: "),
        ("text.ken", "neither an index nor an .npz; {} Name another file, or delete this one and "),
        ("pipe.ken", "a pipe, socket or device; {} Name a file\n"),
    ],
)
def test_what_is_no_index_says_how_to_have_one(run, things, tmp_path, name, said):
    (tmp_path / "empty.ken").touch()
    (tmp_path / "text.ken").write_text("no index")
    if name == "pipe.ken":
        os.mkfifo(tmp_path / name)
    done = run("info", "--index", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{name}: {said.format('expected an index file.')}")
    if "anew" in said:
        assert done.stderr.endswith(f"kenspeckle index FOLDER --out {name}\n")
    if "--out " in done.stderr and name != "things":
        (tmp_path / name).unlink(missing_ok=True)
        asked = shlex.split(done.stderr.partition("kenspeckle ")[2].replace("FOLDER", "things"))
        assert run(*asked).returncode == 0
        assert run("info", "--index", name).returncode == 0


def test_a_folder_in_place_of_a_new_index_is_not_to_be_deleted(run, things):
    done = run("index", things, "--out", things)
    assert done.returncode == 1
    assert done.stderr.endswith("expected an index file. Name a file by --out; then index again\n")


def test_a_wrong_setting_in_the_environment_is_a_failure_not_a_wrong_option(run):
    done = run("index", ".", env={"KENSPECKLE_INDEX_NAMING": "funny"})
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "index.naming" in done.stderr


def test_config_says_where_values_come_from(run, tmp_path):
    (tmp_path / "kenspeckle.toml").write_text("[identify]\ntop = 7\n")
    (tmp_path / ".env").write_text("CARD_INDEX=old.npz\n")
    done = run("config", "--json", env={"KENSPECKLE_IDENTIFY_FPIR": "0.05"})
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert (rows["identify.top"]["value"], rows["identify.fpir"]["value"]) == (7, 0.05)
    assert rows["identify.top"]["origin"].endswith("kenspeckle.toml")
    assert rows["identify.fpir"]["origin"] == "environment (KENSPECKLE_IDENTIFY_FPIR)"
    assert rows["index.path"]["origin"].endswith(".env (CARD_INDEX)")
    table = run("config", "identify").stdout.splitlines()
    assert table[0].split() == ["setting", "value", "from", "meaning"]
    assert [line.split()[0] for line in table[1:]] == [
        f"identify.{one.name}" for one in fields(IdentifySettings)
    ]


def test_a_reader_that_leaves_is_not_an_error_message(run, tmp_path):
    source = f"{sys.executable} -m kenspeckle config | head -c 1"
    done = subprocess.run(["bash", "-c", source], capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line(tmp_path):
    source = f"{sys.executable} -m kenspeckle config > /dev/full"
    done = subprocess.run(["bash", "-c", source], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left" in done.stderr


def test_ctrl_c_while_a_picture_is_awaited(run, things, tmp_path):
    assert run("index", things, "--no-calibrate").returncode == 0
    environ = {**os.environ, "KENSPECKLE_MODELS_NAME": "dummy"}
    with subprocess.Popen(
        [sys.executable, "-m", "kenspeckle", "identify", "-"],
        cwd=tmp_path, env=environ, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
        held = array("i", [1])
        while held[0] and process.poll() is None:  # until it has read that, and reads on
            fcntl.ioctl(process.stdin, termios.FIONREAD, held)
            time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.communicate() == ("", "Stopped.\n")


def in_terminal(words: list[str], cwd: Path, columns: int = 120) -> str:
    """What the command writes when all its streams are a terminal."""
    leader, follower = pty.openpty()
    environ = {**os.environ, "KENSPECKLE_MODELS_NAME": "dummy", "TERM": "xterm"}
    environ["COLUMNS"] = str(columns)
    process = subprocess.Popen(
        [sys.executable, "-m", "kenspeckle", *words],
        stdin=follower, stdout=follower, stderr=follower, cwd=cwd, env=environ,
    )  # fmt: skip
    os.close(follower)
    seen = b""
    while select.select([leader], [], [], 60)[0]:
        try:
            data = os.read(leader, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    os.close(leader)
    assert process.wait(60) == 0
    return seen.decode()


def test_a_terminal_gets_a_bar_and_a_drawn_table(things, tmp_path):
    said = in_terminal(["index", str(things), "--no-calibrate"], tmp_path)
    assert "6/6" in said
    assert "6 added" in said
    table = in_terminal(["list"], tmp_path)
    assert "─" in table
    assert "thing 3" in table


CLOSED = {
    "stdout": (">&-", 1, "stdout: it is closed\n"),
    "stderr": ("2>&-", 0, ""),
    "stdin": ("<&-", 0, ""),
    "all": ("<&- >&- 2>&-", 1, ""),
}


@pytest.mark.parametrize("words", ["list", "info --json", "--help"])
@pytest.mark.parametrize(("how", "code", "said"), CLOSED.values(), ids=CLOSED)
def test_a_closed_stream_is_no_traceback(index, words, how, code, said):
    done = closed(f"{words} {how}", index.parent)
    assert (done.returncode, done.stderr) == (code, said)
    assert bool(done.stdout) == (code == 0)


def test_a_picture_on_a_closed_stdin_failed(index):
    done = closed("identify - <&-", index.parent)
    assert done.returncode == 1
    assert "it cannot be read" in done.stdout
    assert done.stderr.endswith("1 of 1 input failed.\n")
    assert "Traceback" not in done.stderr


def closed(words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    source = f"{sys.executable} -m kenspeckle {words}"
    environ = {**os.environ, "KENSPECKLE_MODELS_NAME": "dummy"}
    return subprocess.run(
        ["bash", "-c", source], capture_output=True, text=True, cwd=cwd, env=environ
    )


def test_look_alikes_are_few_and_the_rest_is_a_command_away(run, drawn, tmp_path):
    refs = tmp_path / "my refs"
    refs.mkdir()
    for number in range(5):
        drawn(1).save(refs / f"thing_{number}.png")
    done = run("index", refs, "--out", "my index.ken")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum("the same file" in line for line in lines) == 5
    (rest,) = (line for line in lines if line.startswith("  … and 5 more ("))
    command = rest.removeprefix("  … and 5 more (kenspeckle ").removesuffix(")")
    done = run(*shlex.split(command))
    pairs = done.stdout.partition("closest pictures of different items:\n")[2].splitlines()
    assert sum("  and  " in line for line in pairs) == 10


def test_info_takes_the_index_by_its_place(run, index):
    assert index.rename(index.with_name("my.ken")).is_file()
    by_option = run("info", "--index", "my.ken")
    done = run("info", "my.ken")
    assert (done.returncode, done.stdout) == (0, by_option.stdout)
    assert run("info", "my.ken", "--index", "my.ken").returncode == 0
    done = run("info", "my.ken", "--index", "other.ken")
    assert done.returncode == 2
    assert "name the index once" in done.stderr


@pytest.mark.parametrize("words", [["list"], ["remove"], ["confirm", "a.png"], ["rename"]])
def test_an_index_given_as_a_key_is_told(run, index, things, words):
    (index.parent / "a.png").write_bytes((things / "thing_1.png").read_bytes())
    for name in ("gallery.ken", "of mine.ken"):
        index.rename(index.with_name(name))
        index = index.with_name(name)
        done = run(*words, name)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert f"{name} is an index: name it by --index {shlex.quote(name)}\n" in done.stderr
    assert "is an index" not in run("list", "nothing", "--index", name).stderr


def test_import_takes_what_it_writes_by_its_place(run, index):
    assert run("export", "old.npz").returncode == 0
    for words in (["a.ken"], ["--out", "b.ken"], ["c.ken", "--out", "c.ken"]):
        done = run("import", "old.npz", *words)
        assert done.returncode == 0, done.stderr
        assert (index.parent / words[-1]).is_file()
    done = run("import", "old.npz", "d.ken", "--out", "e.ken")
    assert done.returncode == 2
    assert "name the file once" in done.stderr


def test_a_terminal_gets_lines_that_fit_and_the_next_command_whole(index):
    told = in_terminal(["verify", "gallery.ken"], index.parent, 60).splitlines()
    assert "next: kenspeckle " in told[-1]
    assert told[-1].endswith(")")
    assert any(line.startswith("verdict: ") for line in told[-6:-1])
    assert max(map(len, told[:-1])) <= 60
