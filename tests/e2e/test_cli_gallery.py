"""From a folder of pictures to answers, by the command alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

JSON = "--json"


def rows(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def last(text: str) -> str:
    return text.splitlines()[-1]


def indexed(run, folder: Path, *words: object) -> dict:
    done = run("index", folder, "--no-calibrate", JSON, *words)
    assert done.returncode == 0, done.stderr
    (said,) = rows(done.stdout)
    return said


def test_index_tells_what_changed_and_embeds_only_that(run, things, drawn):
    first = indexed(run, things)
    assert (first["index"], first["added"], first["unchanged"]) == ("gallery.ken", 6, 0)
    assert first["stages"]["model"] > 0
    again = indexed(run, things)
    assert (again["added"], again["unchanged"]) == (0, 6)
    assert "model" not in again["stages"]
    drawn(50).save(things / "new.png")
    drawn(51).save(things / "thing_0.png")
    (things / "thing_1.png").rename(things / "renamed.png")
    (things / "thing_2.png").unlink()
    foretold = run("index", things, "--dry-run")
    assert foretold.returncode == 0
    assert foretold.stdout.splitlines()[-1] == (
        "1 to add, 1 to embed again, 1 to rename, 1 to remove, 3 unchanged"
    )
    (plan,) = rows(run("index", things, "--dry-run", JSON).stdout)
    assert (plan["add"], plan["remove"]) == (["new.png"], ["thing_2.png"])
    said = indexed(run, things)
    counts = {name: said[name] for name in ("added", "changed", "renamed", "removed", "unchanged")}
    assert counts == {"added": 1, "changed": 1, "renamed": 1, "removed": 1, "unchanged": 3}
    assert indexed(run, things, "--rehash")["unchanged"] == 6


def test_a_dry_run_makes_no_file(run, things, tmp_path):
    done = run("index", things, "--dry-run")
    assert done.returncode == 0
    assert "6 to add" in done.stdout
    assert not (tmp_path / "gallery.ken").exists()


def test_pictures_that_cannot_be_used_are_named_and_the_others_go_on(run, things):
    (things / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (things / "empty.png").write_bytes(b"")
    (things / "notes.txt").write_text("not a picture")
    done = run("index", things, "--no-calibrate")
    assert done.returncode == 0
    assert "6 added" in done.stdout
    assert "2 pictures could not be used:" in done.stdout
    assert "  broken.jpg: " in done.stdout
    assert "  empty.png: " in done.stdout
    assert "Left out: 1 file (1 × not a picture file)." in done.stdout
    assert done.stderr.splitlines() == ["indexed 8 of 8"]


@pytest.mark.parametrize("content", [{}, {"a.txt": b"x"}, {"a.jpg": b"", "b.png": b"nope"}])
def test_a_folder_without_one_good_picture_fails_and_leaves_no_file(run, tmp_path, content):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    done = run("index", folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith(str(folder))
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("gallery.ken*")) == []


def test_another_folder_does_not_empty_an_index_by_mistake(run, things, tmp_path, drawn):
    indexed(run, things)
    other = tmp_path / "other"
    other.mkdir()
    drawn(77).save(other / "else.png")
    done = run("index", other)
    assert done.returncode == 1
    assert "--replace" in done.stderr
    assert indexed(run, other, "--replace")["removed"] == 6


def test_calibration_comes_by_itself_and_carries_its_promise(run, things):
    done = run("index", things)
    assert done.returncode == 0, done.stderr
    assert (
        "Strangers, things that are not enrolled: of those like your items at most" in done.stdout
    )
    assert "Asked for were 5 %, which takes 59 items." in done.stdout
    (about,) = rows(run("info", JSON).stdout)
    assert about["calibration"]["method"] == "quick"
    assert about["stale"] == ""
    assert run("add", things / "thing_0.png", "--label", "again").returncode == 0
    (about,) = rows(run("info", JSON).stdout)
    assert about["stale"] != ""
    assert "Out of date" in about["promise"]


def test_a_promise_that_no_longer_fits_is_not_told_as_if_it_did(run, things, drawn):
    assert run("index", things).returncode == 0
    drawn(91).save(things / "more.png")
    done = run("index", things, "--no-calibrate")
    assert "Out of date: references were added or removed since" in done.stdout
    done = run("index", things)
    assert "Out of date" not in done.stdout


def test_a_confidence_fitted_for_other_regions_is_not_told(run, things):
    assert run("index", things).returncode == 0
    (usual,) = rows(run("identify", things / "thing_1.png", JSON).stdout)
    (other,) = rows(run("identify", things / "thing_1.png", "--regions", "center", JSON).stdout)
    assert 0 < usual["confidence"] < 1
    assert other["confidence"] is None
    assert "fitted for regions whole" in " ".join(other["reasons"])


def test_another_rate_is_fitted_even_where_nothing_changed(run, things):
    assert run("index", things).returncode == 0
    (said,) = rows(run("index", things, "--fpir", "0.3", JSON).stdout)
    assert (said["unchanged"], said["calibration"]["fpir"]) == (6, 0.3)
    (about,) = rows(run("info", JSON).stdout)
    assert (about["calibration"]["fpir"], about["stale"]) == (0.3, "")


def test_identify_answers_files_folders_and_stdin_in_order(run, things, tmp_path):
    indexed(run, things)
    inner = tmp_path / "photos" / "below"
    inner.mkdir(parents=True)
    Image.open(things / "thing_4.png").save(inner / "photo.jpg", quality=95)
    (inner / "notes.txt").write_text("no picture")
    done = run(
        "identify", things / "thing_1.png", tmp_path / "photos", "-", JSON,
        input=(things / "thing_3.png").read_bytes(), text=None, encoding=None, errors=None,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = rows(done.stdout.decode())
    assert [row["label"] for row in said] == ["thing 1", "thing 4", "thing 3"]
    assert said[2]["photo"] == "stdin"
    assert said[0]["candidates"][0]["reference"] == "thing_1.png"
    assert said[0]["margin"] > 0
    assert said[0]["confidence"] is None


def test_identify_shows_a_table_with_reasons(run, things):
    indexed(run, things)
    done = run("identify", things, "--top", "2")
    assert done.returncode == 0
    head, *below = done.stdout.splitlines()
    assert head.split() == ["photo", "answer", "confidence", "margin", "why"]
    assert [line.split()[0] for line in below[:6]] == sorted(map(str, things.iterdir()))
    assert "nearest is thing 0 (cosine 1.000), then " in below[0]
    assert "For every photo: not calibrated" in done.stdout
    assert done.stdout.count("  2. ") == 6


def test_one_photo_gets_its_reasons_in_full_and_the_columns_of_its_table(run, things, tmp_path):
    (things / "list.csv").write_text("path,label,shelf\nthing_0.png,Mug,7\nthing_1.png,Jug,8\n")
    assert run("index", things / "list.csv").returncode == 0
    done = run("identify", things / "thing_0.png", "--top", "1")
    assert done.returncode == 0, done.stdout
    row, *below = done.stdout.splitlines()[1:]
    assert "Mug" in row
    assert "then Jug (" in row
    assert "  shelf: 7" in below
    assert any(line.startswith("  strangers, things not enrolled") for line in below)
    assert "For every photo" not in done.stdout


def test_a_photo_fails_alone(run, things, tmp_path):
    indexed(run, things)
    (tmp_path / "broken.jpg").write_bytes(b"GIF89a")
    (tmp_path / "nothing").mkdir()
    words = ["broken.jpg", "gone.jpg", "nothing", things / "thing_5.png"]
    done = run("identify", *words)
    assert done.returncode == 1
    assert done.stdout.count("(failed)") == 3
    assert "thing 5" in done.stdout
    assert done.stderr.endswith("3 of 4 inputs failed.\n")
    said = rows(run("identify", *words, JSON).stdout)
    assert ["error" in row for row in said] == [True, True, True, False]


def test_all_unknown_exits_with_3(run, things, tmp_path, drawn):
    done = run("index", things)
    assert done.returncode == 0
    for number in (900, 901, 902, 903):
        drawn(number).transpose(Image.Transpose.ROTATE_90).save(tmp_path / f"s{number}.png")
    answers = rows(run("identify", *sorted(tmp_path.glob("s*.png")), JSON).stdout)
    unknown = [row["photo"] for row in answers if not row["known"]]
    assert unknown, "the dummy model names every stranger"
    done = run("identify", *unknown)
    assert done.returncode == 3
    for line in done.stdout.splitlines()[1 : 1 + len(unknown)]:
        assert re.search(r"  unknown  -  +\d", line), "no confidence stands beside unknown"
        assert "nearest is thing " in line
    assert run("identify", *unknown, things / "thing_0.png").returncode == 0
    assert run("identify", *unknown, "gone.jpg").returncode == 1


def test_add_list_remove(run, things, tmp_path, drawn):
    indexed(run, things)
    drawn(60).save(tmp_path / "extra.png")
    words = ["--label", "Blue Mug", "--variant", "large", "--meta", "shelf=3", JSON]
    (added,) = rows(run("add", "extra.png", *words).stdout)
    assert (added["label"], added["variant"], added["metadata"]) == (
        "Blue Mug",
        "large",
        {"shelf": "3"},
    )
    assert run("add", "extra.png", "--meta", "shelf").returncode == 2
    items = {row["key"]: row for row in rows(run("list", JSON).stdout)}
    assert len(items) == 7
    assert items["blue mug"]["references"] == 1
    (reference,) = rows(run("list", "Blue Mug", "--references", JSON).stdout)
    assert reference["added"] is True
    (answer,) = rows(run("identify", "extra.png", JSON).stdout)
    assert (answer["label"], answer["candidates"][0]["metadata"]) == ("Blue Mug", {"shelf": "3"})
    assert indexed(run, things)["removed"] == 0
    done = run("remove", "blue mug", "thing_0.png")
    assert done.returncode == 0
    assert "5 references of 5 items left" in done.stdout
    assert run("remove", "blue mug").returncode == 1
    assert run("list", "blue mug").returncode == 1


def test_info_tells_size_model_and_instructions(run, things):
    indexed(run, things, "--views", "1")
    (about,) = rows(run("info", JSON).stdout)
    assert (about["items"], about["references"], about["views"], about["vectors"]) == (6, 6, 6, 12)
    assert about["manifest"]["fingerprint"]["model"] == "dummy"
    assert about["instructions"]
    table = run("info").stdout
    for word in ("model", "weights", "space", "memory", "instructions", "promise", "naming"):
        assert word in table


def test_another_model_is_refused_and_both_are_named(run, things):
    indexed(run, things)
    for words in (
        ["identify", things / "thing_0.png"],
        ["index", things],
        ["add", things / "thing_0.png"],
    ):
        done = run(*words, "--model", "default")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith("gallery.ken: its vectors were made by dummy")
        assert "efflite0" in done.stderr
        assert "into another file: kenspeckle index PICTURES --out FILE" in done.stderr


def test_odd_file_names_cannot_disturb_a_terminal(run, things, drawn):
    names = ["a\x1b[2Jb.png", "line\nbreak.png", "right\u202eleft.png", "ünï.png"]
    for number, name in enumerate(names):
        drawn(70 + number).save(things / name)
    with (things / "caf\udce9.png").open("wb") as file:
        drawn(80).save(file, "PNG")
    (things / "bad\x1b[31m.png").write_bytes(b"x")
    done = run("index", things, "--no-calibrate")
    assert done.returncode == 0, done.stderr
    assert "11 added" in done.stdout
    for text in (done.stdout, run("list", "--references").stdout, run("identify", things).stdout):
        assert not any(c in text for c in "\x1b\u202e\udce9")
        assert text.isprintable() or set(text) & {"\n"}
    listed = run("list", "--references").stdout
    assert "caf\\xe9.png" in listed
    assert "ünï.png" in listed
    said = rows(run("identify", things, JSON).stdout)
    assert sum(row.get("known", False) for row in said) == 11


@pytest.mark.parametrize("name", ["a.ken", "a.npz"])
def test_a_damaged_index_says_how_to_go_on(run, things, tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 damaged" if name.endswith("npz") else b"damaged")
    for more in ([], ["--dry-run"]):
        done = run("index", things, "--out", name, *more)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Delete it, or name another file by --out; then index again" in done.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder here that takes no files")
def test_a_folder_that_takes_no_file_is_refused_before_anything_is_embedded(run, things):
    done = run("index", things, "--out", "/proc/new.npz")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("/proc/new.npz: its folder takes no new files (")
    assert "The old one" not in done.stderr


def test_ctrl_c_before_anything_is_kept_says_so(run, things, tmp_path, drawn):
    for number in range(100, 160):
        drawn(number, 900).save(things / f"more_{number}.png")
    environ = {**os.environ, "KENSPECKLE_MODELS_NAME": "dummy"}
    with subprocess.Popen(
        [sys.executable, "-m", "kenspeckle", "index", str(things), "--out", "a.npz"],
        cwd=tmp_path, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while " images in " not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    if (tmp_path / "a.npz").exists():
        assert "a.npz holds " in last(error)
    else:
        assert last(error) == "Stopped before anything was kept; the same command starts anew."


def test_a_region_rule_that_cannot_be_followed_is_told_once(run, things, tmp_path):
    """OpenCV is hidden, as where the extra is not installed."""
    indexed(run, things)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['cv2'] = None\n")
    environ = {"PYTHONPATH": str(hidden)}
    done = run("identify", things, "--regions", "quad", env=environ)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert 'pip install "kenspeckle[geometry]"' in done.stderr
    done = run("identify", things / "thing_0.png", "--regions", "auto", env=environ)
    assert done.returncode == 0
    assert done.stderr == "Regions auto: without quad, which needs the extra 'geometry'.\n"


def spent(process: int) -> float:
    """Seconds of processor time of a process, of the clock where the system does not say."""
    try:
        said = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return time.monotonic()
    user, system = said.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_ctrl_c_keeps_what_is_done(run, things, tmp_path, drawn):
    for number in range(100, 160):
        drawn(number, 900).save(things / f"more_{number}.png")
    environ = {**os.environ, "KENSPECKLE_MODELS_NAME": "dummy"}
    with subprocess.Popen(
        [sys.executable, "-m", "kenspeckle", "index", str(things), "--callers", "1"],
        cwd=tmp_path, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        while not (tmp_path / "gallery.ken").exists() and process.poll() is None:
            time.sleep(0.02)
        begun = spent(process.pid)
        while spent(process.pid) < begun + 0.4 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    kept = re.fullmatch(r"Stopped. What is done is kept: gallery.ken holds (\d+) .*", last(error))
    assert kept is not None
    assert int(kept[1]) == len(rows(run("list", "--references", JSON).stdout))
    said = indexed(run, things)
    assert said["added"] + said["unchanged"] == 66
    assert said["unchanged"] > 0


def test_a_table_names_items_and_its_columns_come_back(run, things, tmp_path):
    lines = ["key,label,variant,path,shelf"]
    lines += [f"k{n // 2},Thing {n // 2},{'ab'[n % 2]},thing_{n}.png,{n}" for n in range(6)]
    (things / "list.csv").write_text("\n".join(lines))
    assert indexed(run, things / "list.csv")["added"] == 6
    (answer,) = rows(run("identify", things / "thing_3.png", JSON).stdout)
    assert (answer["key"], answer["label"], answer["variant"]) == ("k1", "Thing 1", "b")
    assert answer["candidates"][0]["metadata"]["shelf"] == "3"
    assert "60 camera views of 6 references" in run("verify").stdout
    (tmp_path / "table.csv").write_text("\n".join(lines))
    other = ["--table", "table.csv", "--out", "other.ken"]
    assert indexed(run, things, *other)["added"] == 6


def test_addresses_are_fetched_within_limits_or_refused(run, things):
    indexed(run, things)
    done = run("identify", "http://127.0.0.1:9/x.jpg", "ftp://example.org/x.jpg", JSON)
    assert done.returncode == 1
    said = rows(done.stdout)
    assert "127.0.0.1" in said[0]["error"]
    assert all("error" in row for row in said)


def test_the_built_in_model_from_folder_to_answer(run, things, tmp_path):
    environ = {"KENSPECKLE_MODELS_NAME": ""}
    done = run("index", things, "--no-calibrate", env=environ)
    assert done.returncode == 0, done.stderr
    for number in range(6):
        image = Image.open(things / f"thing_{number}.png").rotate(4, fillcolor=(120, 120, 120))
        image.resize((500, 500)).save(tmp_path / f"photo_{number}.jpg", quality=80)
    photos = sorted(tmp_path.glob("photo_*.jpg"))
    answers = rows(run("identify", *photos, JSON, env=environ).stdout)
    right = sum(row["label"] == f"thing {number}" for number, row in enumerate(answers))
    assert right >= 5
    (about,) = rows(run("info", JSON, env=environ).stdout)
    assert about["manifest"]["fingerprint"]["model"] == "efflite0-288-gem-w384"
    assert run("verify", env=environ).returncode == 0
