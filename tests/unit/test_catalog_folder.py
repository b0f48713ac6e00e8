"""Folders of every sort → entries; every exclusion counted."""

from __future__ import annotations

import json
import os
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.catalog import entry as entries
from kenspeckle.catalog.folder import scan
from kenspeckle.errors import CatalogError, SettingError

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux")


def make(folder, *paths):
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"picture")
    return folder


def items(listing):
    """label → paths"""
    found = {}
    for entry in listing.entries:
        found.setdefault(entry.reference.label, []).append(entry.reference.path)
    return found


def test_a_file_is_an_item_and_its_stat_is_kept(tmp_path):
    make(tmp_path, "red_mug.jpg")
    os.utime(tmp_path / "red_mug.jpg", ns=(1, 123456789))
    (entry,) = scan(tmp_path).entries
    assert entry.source == tmp_path / "red_mug.jpg"
    reference = entry.reference
    assert (reference.key, reference.label, reference.path) == ("red mug", "red mug", "red_mug.jpg")
    assert (reference.size, reference.mtime_ns, reference.sha256) == (7, 123456789, "")


def test_files_folders_and_further_references_go_together(tmp_path):
    make(
        tmp_path, "mug.jpg", "mug__2.png", "mug/front.webp", "mug/old/1.JPG", "cup/1.jpg", "can.gif"
    )
    listing = scan(tmp_path)
    assert items(listing) == {
        "can": ["can.gif"],
        "cup": ["cup/1.jpg"],
        "mug": ["mug.jpg", "mug/front.webp", "mug/old/1.JPG", "mug__2.png"],
    }
    assert (len(listing), listing.items, listing.scheme) == (6, 3, "plain")


def test_entries_are_sorted_by_path_in_code_point_order(tmp_path):
    make(tmp_path, "b.jpg", "a.jpg", "B.jpg", "a/z.jpg", "é.jpg", "a-1.jpg")
    paths = [entry.reference.path for entry in scan(tmp_path).entries]
    assert paths == sorted(paths)


def test_one_name_in_two_folders_is_two_references(tmp_path):
    make(tmp_path, "mug/front.jpg", "cup/front.jpg")
    assert items(scan(tmp_path)) == {"cup": ["cup/front.jpg"], "mug": ["mug/front.jpg"]}


def test_names_that_differ_in_case_only_are_one_item_and_said_to_be(tmp_path):
    make(tmp_path, "Red_Mug.jpg", "red mug.png")
    listing = scan(tmp_path)
    assert items(listing) == {"Red Mug": ["Red_Mug.jpg", "red mug.png"]}
    assert listing.notes == ("'red mug' and 'Red Mug' are one item, named 'Red Mug'",)


def test_a_set_code_anywhere_makes_it_cards(tmp_path):
    make(
        tmp_path,
        "LOCH-JP001_dark_magician_pscr.jpg",
        "dark_magician.jpg",
        "blue-eyes/LOCR-JP066_any_ur.jpg",
        "blue-eyes/1.jpg",
    )
    listing = scan(tmp_path)
    assert listing.scheme == "cards"
    assert listing.notes == (
        "cards naming, because 'LOCH-JP001_dark_magician_pscr.jpg' carries a set code",
    )
    references = [entry.reference for entry in listing.entries]
    assert [(r.filename, r.label, r.variant) for r in references] == [
        ("LOCH-JP001_dark_magician_pscr.jpg", "Dark Magician", "LOCH-JP001 PScR"),
        ("1.jpg", "Blue-Eyes", ""),
        ("LOCR-JP066_any_ur.jpg", "Blue-Eyes", "LOCR-JP066 UR"),
        ("dark_magician.jpg", "Dark Magician", ""),
    ]
    plain = scan(tmp_path, naming="plain")
    assert plain.scheme == "plain"
    assert "LOCH-JP001 dark magician pscr" in items(plain)


def test_flat_reads_what_index_refs_reads(tmp_path):
    make(tmp_path, "a.JPG", "b.jpeg", "c.png", "d.webp", "e.gif", "f.bmp", "sub/g.jpg")
    listing = scan(tmp_path, flat=True, naming="cards")
    assert [e.reference.path for e in listing.entries] == ["a.JPG", "b.jpeg", "c.png", "d.webp"]
    assert dict(listing.skipped) == {
        "e.gif": "not a picture file",
        "f.bmp": "not a picture file",
        "sub": "folder",
    }


def test_every_exclusion_is_counted(tmp_path):
    make(tmp_path, "mug.jpg", "notes.txt", "._mug.jpg", ".DS_Store", ".git/x.jpg", "no_suffix")
    assert dict(scan(tmp_path).skipped) == {
        ".DS_Store": "hidden file",
        "._mug.jpg": "hidden file",
        ".git": "hidden file",
        "no_suffix": "not a picture file",
        "notes.txt": "not a picture file",
    }


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ((), "an empty folder"),
        (("a.txt", "b.txt", "c.pdf"), r"no pictures \(2 × .txt, 1 × .pdf\)"),
    ],
)
def test_a_folder_without_pictures_says_what_it_has(tmp_path, paths, message):
    with pytest.raises(CatalogError, match=message) as caught:
        scan(make(tmp_path, *paths))
    assert "Put one picture of each item into it" in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(CatalogError, match="no such folder"):
        scan(tmp_path / "none")


def test_an_unknown_scheme_is_refused(tmp_path):
    with pytest.raises(SettingError, match="naming"):
        scan(make(tmp_path, "a.jpg"), naming="books")


@pytest.mark.parametrize(
    "name",
    ["a#b.jpg", "100%.jpg", "what?.jpg", " .jpg", "-rf.jpg", "a b  c.jpg", "a\nb.jpg", "a.b.c.jpg"],
)
def test_odd_names_are_enrolled(tmp_path, name):
    (entry,) = scan(make(tmp_path, name)).entries
    assert entry.source.read_bytes() == b"picture"
    assert entry.reference.label.isprintable()
    assert entry.reference.path.isprintable()
    assert entries.on_disk(tmp_path, entry.reference.path) == tmp_path / name


@linux_only
def test_names_that_are_not_utf8_survive(tmp_path):
    make(tmp_path, os.fsdecode(b"caf\xe9_noir.jpg"))
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"caf\xe9_noir.jpg"]
    (entry,) = scan(tmp_path).entries
    assert entry.reference.path == "caf\\xe9_noir.jpg"
    assert entry.reference.label == "caf\\xe9 noir"
    json.dumps(entry.reference.label, ensure_ascii=False).encode()
    assert entry.source.read_bytes() == b"picture"


@linux_only
def test_two_files_that_read_alike_are_not_mixed_up(tmp_path):
    make(tmp_path, "caf\udce9.jpg", "caf\\xe9.jpg")
    listing = scan(tmp_path)
    assert len(listing) == 1
    assert listing.skipped == (("caf\\xe9.jpg", "its name reads like that of another file"),)


@linux_only
def test_composed_and_decomposed_names_are_one_item(tmp_path):
    names = [unicodedata.normalize(form, "café.jpg") for form in ("NFC", "NFD")]
    listing = scan(make(tmp_path, *names))
    assert len(listing) == 2
    assert listing.items == 1


@linux_only
def test_only_regular_files_are_followed_and_nothing_is_opened(tmp_path):
    outside = make(tmp_path / "outside", "real.jpg", "more/x.jpg")
    folder = make(tmp_path / "refs", "mug.jpg")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "link.jpg").symlink_to(outside / "real.jpg")
    (folder / "nowhere.jpg").symlink_to(outside / "none.jpg")
    (folder / "round.jpg").symlink_to("round.jpg")
    (folder / "dir.jpg").symlink_to(outside / "more")
    (folder / "linked_folder").symlink_to(outside / "more")
    (folder / "self").symlink_to(folder)
    (folder / "zero.jpg").symlink_to("/dev/zero")
    listing = scan(folder)
    assert [e.reference.path for e in listing.entries] == ["link.jpg", "mug.jpg"]
    assert dict(listing.skipped) == {
        "dir.jpg": "link to no file",
        "linked_folder": "link, not followed",
        "nowhere.jpg": "link to no file",
        "pipe.jpg": "not a regular file",
        "round.jpg": "link to no file",
        "self": "link, not followed",
        "zero.jpg": "link to no file",
    }


@linux_only
def test_a_link_that_leads_where_nobody_may_look_is_not_taken_for_gone(tmp_path):
    folder = make(tmp_path, "mug.jpg")
    (folder / "far.jpg").symlink_to("x" * 300)  # refused by the system, for root as well
    listing = scan(folder)
    assert listing.unread == ("far.jpg",)
    assert listing.skipped[0][1].startswith("cannot be looked at: ")


@linux_only
def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    make(tmp_path, "mug.jpg", "deep/cup.jpg")
    monkeypatch.chdir(tmp_path / "deep")
    for _ in range(17):  # longer than any path may be, so that it cannot be listed by name
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    listing = scan(tmp_path)
    assert [e.reference.path for e in listing.entries] == ["deep/cup.jpg", "mug.jpg"]
    (unread,) = listing.unread
    assert unread.startswith("deep/ddd")
    assert dict(listing.skipped)[f"{unread}/"] == "cannot be listed: File name too long"


def test_a_folder_of_folders_is_warned_of(tmp_path):
    make(tmp_path, "ref/mug/1.jpg", "ref/cup/1.jpg", "pot/old/1.jpg")
    (note,) = scan(tmp_path).notes
    assert note.startswith("'ref' holds 2 folders, all taken as references of one item")


GATHERED = ("duckduckgo_3f9a00b1c2d3.jpg", "wikimedia_00ff00ff00ff.jpg", "bing_abcdefabcdef.png")


def manifest(folder, rows, name="manifest.json"):
    (folder / name).write_text(json.dumps(rows), encoding="utf-8")


def test_gathered_files_without_their_manifest_are_refused(tmp_path):
    make(tmp_path, *GATHERED)
    with pytest.raises(CatalogError, match=r"manifest\.json") as caught:
        scan(tmp_path)
    assert "names are no labels" in str(caught.value)


def test_the_manifest_names_gathered_files(tmp_path):
    make(tmp_path, *GATHERED, "bing_000000000abc.jpg")
    row = {"source": "bing", "page": "https://a.example/p", "license": "CC0", "bytes": 7}
    manifest(
        tmp_path,
        [
            row
            | {"path": f"/data/mugs/{GATHERED[0]}", "query": "red mug", "title": "A Mug"}
            | {"url": "https://a.example/1.jpg"},
            row | {"path": GATHERED[1], "query": "red mug", "title": ""},
            row | {"path": f"C:\\data\\{GATHERED[2]}", "query": "cup", "dropped": "duplicate"},
        ],
    )
    listing = scan(tmp_path)
    assert items(listing) == {"red mug": list(GATHERED[:2])}
    assert listing.entries[0].reference.metadata == {
        "url": "https://a.example/1.jpg",
        "source": "bing",
        "page": "https://a.example/p",
        "license": "CC0",
    }
    assert dict(listing.skipped) == {
        GATHERED[2]: "dropped in manifest.json: duplicate",
        "bing_000000000abc.jpg": "not in manifest.json",
    }
    assert items(scan(tmp_path, label_from="title")) == {
        "A Mug": [GATHERED[0]],
        "red mug": [GATHERED[1]],
    }


def test_a_manifest_in_a_bucket_speaks_of_that_bucket(tmp_path):
    make(tmp_path, f"good/{GATHERED[0]}", "mug/1.jpg")
    manifest(tmp_path, [{"path": f"good/{GATHERED[0]}", "query": "cup"}], "good/manifest.json")
    assert items(scan(tmp_path)) == {"cup": [f"good/{GATHERED[0]}"], "mug": ["mug/1.jpg"]}


def test_the_same_file_name_in_two_buckets_is_told_apart(tmp_path):
    make(tmp_path, f"a/{GATHERED[0]}", f"b/{GATHERED[0]}")
    manifest(
        tmp_path,
        [
            {"path": f"/root/a/{GATHERED[0]}", "query": "mug"},
            {"path": f"/root/b/{GATHERED[0]}", "query": "cup"},
        ],
    )
    assert items(scan(tmp_path)) == {"cup": [f"b/{GATHERED[0]}"], "mug": [f"a/{GATHERED[0]}"]}


def test_another_manifest_is_passed_over(tmp_path):
    make(tmp_path, "mug.jpg")
    manifest(tmp_path, {"name": "a web application"})
    listing = scan(tmp_path)
    assert items(listing) == {"mug": ["mug.jpg"]}
    assert listing.notes == ("manifest.json is not a gather manifest; passed over",)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '[{"path": 1'])
def test_a_broken_manifest_is_an_error(tmp_path, text):
    make(tmp_path, "mug.jpg")
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CatalogError, match=r"manifest\.json"):
        scan(tmp_path)


def test_label_from_is_checked(tmp_path):
    make(tmp_path, GATHERED[0])
    manifest(tmp_path, [{"path": GATHERED[0], "query": "mug"}])
    with pytest.raises(SettingError, match="query or title"):
        scan(tmp_path, label_from="bucket")


def test_a_folder_whose_pictures_are_all_dropped(tmp_path):
    make(tmp_path, GATHERED[0])
    manifest(tmp_path, [{"path": GATHERED[0], "query": "mug", "dropped": True}])
    with pytest.raises(CatalogError, match="left out"):
        scan(tmp_path)


def test_labels_csv_has_the_last_word(tmp_path):
    make(tmp_path, "mug.jpg", "cup/front.jpg", "LOCH-JP001_x_ur.jpg", GATHERED[0])
    manifest(tmp_path, [{"path": GATHERED[0], "query": "pot"}])
    (tmp_path / "labels.csv").write_text(
        "filename;label;key;variant;maker\n"
        "mug.jpg;Red mug;M1;;Acme\n"
        "front.jpg;Tea cup;;blue;\n"
        f"{GATHERED[0]};Pan;;;\n"
        "gone.jpg;Gone;;;\n",
        encoding="utf-8-sig",
    )
    listing = scan(tmp_path)
    found = {e.reference.path: e.reference for e in listing.entries}
    assert (found["mug.jpg"].key, found["mug.jpg"].label) == ("M1", "Red mug")
    assert found["mug.jpg"].metadata["maker"] == "Acme"
    assert (found["cup/front.jpg"].key, found["cup/front.jpg"].variant) == ("tea cup", "blue")
    assert found[GATHERED[0]].label == "Pan"
    assert found["LOCH-JP001_x_ur.jpg"].label == "X"
    assert "labels.csv: no picture for line 5" in listing.notes


def test_labels_csv_must_say_which_of_two_files_it_means(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "labels.csv").write_text("filename,label\na/1.jpg,A\n1.jpg,B\n")
    with pytest.raises(CatalogError, match="line 3") as caught:
        scan(tmp_path)
    assert "'a/1.jpg' and 'b/1.jpg'" in str(caught.value)


def test_labels_csv_opens_nothing_outside_the_folder(tmp_path):
    make(tmp_path / "outside", "x.jpg")
    make(tmp_path / "refs", "mug.jpg")
    (tmp_path / "refs" / "labels.csv").write_text(
        f"filename,label\n../outside/x.jpg,X\n{tmp_path}/outside/x.jpg,X\n"
    )
    assert items(scan(tmp_path / "refs")) == {"mug": ["mug.jpg"]}


def test_a_large_folder_is_listed_fast_enough_to_do_it_every_time(tmp_path):
    for number in range(2000):
        (tmp_path / f"thing_{number:04d}.jpg").touch()
    scan(tmp_path)
    start = time.thread_time()
    assert len(scan(tmp_path)) == 2000
    # 27 ms on an idle core: the limit only catches a stat or an open too many
    assert time.thread_time() - start < 1.0


parts = st.text(
    st.characters(min_codepoint=1, exclude_characters="/", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
suffixes = st.sampled_from([".jpg", ".PNG", ".webp", ".txt", "", "__2.jpg", "_ur.jpg"])
names = st.builds(
    lambda folder, name, suffix: (*folder, name + suffix),
    st.lists(parts, max_size=2),
    parts,
    suffixes,
)


@linux_only
@given(st.lists(names, min_size=1, max_size=6), st.sampled_from(["auto", "cards", "plain"]))
def test_every_file_is_either_an_entry_or_an_exclusion(tmp_path_factory, found, naming):
    folder = tmp_path_factory.mktemp("any")
    made = 0
    for number, path in enumerate(found):
        file = folder.joinpath(f"d{number}", *path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
        made += not any(part.startswith(".") for part in path)
    make(folder, "one.jpg")
    listing = scan(folder, naming=naming)
    seen = [e.reference.path for e in listing.entries]
    files_left_out = [path for path, why in listing.skipped if why == "not a picture file"]
    assert len(seen) + len(files_left_out) == made + 1
    assert len(set(seen)) == len(seen)
    for entry in listing.entries:
        assert entries.on_disk(folder, entry.reference.path) == entry.source
        assert entry.source.is_file()
        assert entry.reference.key
        assert entry.reference.label
    assert scan(folder, naming=naming) == listing
    assert scan(folder, naming=listing.scheme).entries == listing.entries


@pytest.mark.parametrize(
    ("names", "item"),
    [
        (("mug.bmp", "mug.png"), "mug"),
        (("caf\u00e9.png", "cafe\u0301.png"), "caf\u00e9"),
    ],
)
def test_files_named_alike_but_for_their_suffix_or_unicode_form_are_told(tmp_path, names, item):
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system keeps one of the two names")
    listing = scan(tmp_path)
    assert listing.items == 1
    (note,) = listing.notes
    assert "are one item" in note
    for name in names:
        assert name in note
    (tmp_path / "mug__2.png").write_bytes(b"x")
    assert len(scan(tmp_path).notes) == 1
    assert item in listing.entries[0].reference.label
