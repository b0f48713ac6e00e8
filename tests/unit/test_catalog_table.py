"""CSV and JSON-lines tables → entries, with the line of whatever is wrong."""

from __future__ import annotations

import errno
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kenspeckle.catalog import rows as rows_
from kenspeckle.catalog.entry import base_of, on_disk
from kenspeckle.catalog.folder import scan
from kenspeckle.catalog.rows import read_rows
from kenspeckle.catalog.sync import plan
from kenspeckle.errors import CatalogError


@pytest.fixture
def shop(tmp_path):
    for name in ("a.jpg", "b.jpg", "img/c.jpg"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"picture")
    return tmp_path


def table(folder, text, name="items.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def said(listing):
    return [
        (e.reference.path, e.reference.key, e.reference.label, e.reference.variant)
        for e in listing.entries
    ]


PLAIN = [("a.jpg", "1", "Mug", "red"), ("img/c.jpg", "2", "Cup", "")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_of_any_program(shop, delimiter, encoding, newline):
    lines = ["Key,Label,Variant,Path,Price", "1,Mug,red,a.jpg,3 €", "", "2,Cup,,img/c.jpg,"]
    text = newline.join(lines).replace(",", delimiter)
    listing = scan(table(shop, text, encoding=encoding))
    assert said(listing) == PLAIN
    assert [dict(e.reference.metadata) for e in listing.entries] == [{"price": "3 €"}, {}]
    assert listing.entries[1].source == shop / "img" / "c.jpg"
    assert (listing.entries[0].reference.size, listing.scheme) == (7, "plain")


JSON_ROWS = [
    {"key": 1, "label": "Mug", "variant": "red", "path": "a.jpg", "tags": ["x", "ü"], "n": None},
    {"key": 2, "label": "Cup", "path": "img/c.jpg", "stock": True},
]


@pytest.mark.parametrize(
    "text", ["\n".join(json.dumps(row) for row in JSON_ROWS), json.dumps(JSON_ROWS, indent=1)]
)
def test_json_lines_and_lists(shop, text):
    listing = scan(table(shop, text, "items.jsonl"))
    assert said(listing) == PLAIN
    assert listing.entries[0].reference.metadata == {"tags": '["x", "ü"]'}
    assert listing.entries[1].reference.metadata == {"stock": "true"}


def test_cells_may_hold_delimiters_quotes_and_newlines(shop):
    text = 'path,label,note\na.jpg,"Mug, ""red""","two\nlines"\nb.jpg,Cup,\n'
    listing = scan(table(shop, text))
    assert [e.reference.label for e in listing.entries] == ['Mug, "red"', "Cup"]
    assert listing.entries[0].reference.metadata == {"note": "two\nlines"}


def test_key_and_label_stand_in_for_each_other(shop):
    assert said(scan(table(shop, "path,label\na.jpg,Red  Mug\n"))) == [
        ("a.jpg", "red mug", "Red Mug", "")
    ]
    assert said(scan(table(shop, "path,key\na.jpg,SKU-7\n"))) == [("a.jpg", "SKU-7", "SKU-7", "")]


def test_addresses_are_kept_for_the_fetch(shop):
    text = (
        "label,path,url\n"
        "Mug,,https://shop.example/mug.jpg\n"
        "Cup,HTTP://shop.example/cup.jpg,\n"
        "Can,a.jpg,https://shop.example/can\n"
    )
    listing = scan(table(shop, text))
    assert [e.source for e in listing.entries] == [
        "HTTP://shop.example/cup.jpg",
        shop / "a.jpg",
        "https://shop.example/mug.jpg",
    ]
    assert listing.entries[2].reference.path == "https://shop.example/mug.jpg"
    assert listing.entries[2].reference.filename == "mug.jpg"
    assert (listing.entries[2].reference.size, listing.entries[2].reference.mtime_ns) == (-1, -1)
    assert listing.entries[1].reference.metadata == {"url": "https://shop.example/can"}


def test_a_table_may_lead_anywhere_and_a_folder_may_be_its_base(shop, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "x.jpg").write_bytes(b"1")
    back = os.path.relpath(elsewhere / "x.jpg", shop)
    listing = scan(table(shop, f"label,path\nX,{elsewhere}/x.jpg\nX,{back}\nA,./img/../a.jpg\n"))
    assert [e.reference.path for e in listing.entries] == [f"{elsewhere}/x.jpg", "a.jpg"]
    assert listing.skipped[0][1].endswith("again")
    based = scan(shop / "img", table=table(shop, "label,path\nC,c.jpg\n"))
    assert [e.reference.path for e in based.entries] == ["c.jpg"]


def test_a_file_that_cannot_be_looked_at_keeps_its_reference(shop):
    """Only what is certainly gone goes: a share that fails for a moment must cost nothing."""
    text = "label,path\nMug,a.jpg\nCup,b.jpg\nCan,img/c.jpg\nJug,img/c.jpg/d.jpg\n"
    (shop / "img" / "c.jpg").unlink()
    (shop / "img" / "c.jpg").mkdir()
    (shop / "img" / "c.jpg" / "d.jpg").write_bytes(b"picture")
    listing = scan(table(shop, text))
    stored = [(number, entry.reference) for number, entry in enumerate(listing.entries)]
    assert len(stored) == 3
    (shop / "b.jpg").unlink()
    (shop / "b.jpg").symlink_to("b.jpg")  # the system refuses to follow it, for root as well
    (shop / "img" / "c.jpg" / "d.jpg").unlink()
    (shop / "img" / "c.jpg").rmdir()
    (shop / "img" / "c.jpg").write_bytes(b"no folder any more")
    listing = scan(table(shop, text))
    assert listing.unread == ("b.jpg",)
    assert [why for _, why in listing.skipped if "b.jpg" in why] == [
        f"'b.jpg' cannot be looked at: {os.strerror(errno.ELOOP)}"
    ]
    work = plan(listing, stored)
    assert [stored[id_][1].path for id_, _ in work.remove] == ["img/c.jpg/d.jpg"]
    assert work.kept == 1


def test_rows_without_a_picture_are_skipped_and_told_with_their_line(shop):
    text = (
        "label,path,url\n"
        "Mug,a.jpg,\n"
        "Gone,none.jpg,\n"
        "Nothing,,\n"
        ",b.jpg,\n"
        "Folder,img,\n"
        "Odd,,ftp://shop.example/x.jpg\n"
        "Nul,a\0b,\n"
    )
    listing = scan(table(shop, text))
    assert len(listing) == 1
    assert [(where.rsplit(" ", 1)[1], why) for where, why in listing.skipped] == [
        ("3", "no such file 'none.jpg'"),
        ("4", "no path and no url"),
        ("5", "no key and no label"),
        ("6", "'img' is not a regular file"),
        ("7", "'ftp://shop.example/x.jpg' is not an http address"),
        ("8", "no such file 'a\\x00b'"),
    ]


def test_one_key_has_one_label_the_first(shop):
    listing = scan(table(shop, "key,label,path\n1,Mug,b.jpg\n1,Beaker,a.jpg\n"))
    assert {e.reference.label for e in listing.entries} == {"Mug"}
    assert listing.notes == ("'Beaker' and 'Mug' are one item, named 'Mug'",)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("label,picture\nMug,a.jpg\n", "line 2", "expected one of path, filename, file, url"),
        ("path,name\na.jpg,Mug\n", "line 2", "expected one of key, label"),
        ("path,label\na.jpg,Mug\nb.jpg,Cup,blue\n", "line 3", "3 cells; expected 2"),
        ("path,label,Label\na.jpg,Mug,x\n", "line 1", "two columns named 'label'"),
        ('path,label\na.jpg,Mug\nb.jpg,"Cup\n\n', "line 3", "not CSV"),
        ("path,label\na.jpg,1\na.jpg,2\n", "line 3", "expected '1', as in line 2"),
        ('{"path": "a.jpg", "label": "x"}\n{oops\n', "line 2", "not JSON"),
        ('{"path": "a.jpg", "label": "x"}\n[1]\n', "line 2", "a list; expected a JSON object"),
        ('{"path": "a.jpg", "label": ' + "[" * 100_000, "line 1", "nested too deeply"),
        ("", "items.csv", "no rows"),
        ("path,label\n", "items.csv", "no rows"),
        ("path,label\nnone.jpg,x\n", "items.csv", "no row that can be used"),
        (f"path,label\na.jpg,{'x' * 200_000}\n", "line 2", "field larger than"),
        (json.dumps({"path": "a.jpg", "label": "x" * 200_000}), "line 1", "a value too long"),
    ],
)
def test_a_table_that_is_wrong_says_where(shop, text, where, what):
    with pytest.raises(CatalogError) as caught:
        scan(table(shop, text))
    assert where in str(caught.value)
    assert what in str(caught.value)


def test_text_of_another_encoding_is_refused_with_its_line(shop):
    path = table(shop, "path,label\na.jpg,Mug\nb.jpg,Café\n", encoding="cp1252")
    with pytest.raises(CatalogError, match=r"line 3.*not UTF-8") as caught:
        scan(path)
    assert "CSV UTF-8" in str(caught.value)


def test_a_table_that_is_not_there(shop):
    with pytest.raises(CatalogError, match="no such file"):
        scan(shop, table=shop / "none.csv")


def test_limits_on_bytes_and_rows(shop, monkeypatch):
    path = table(shop, "path,label\n" + "a.jpg,Mug\n" * 3)
    monkeypatch.setattr(rows_, "MAX_ROWS", 2)
    with pytest.raises(CatalogError, match="too many rows"):
        list(read_rows(path))
    monkeypatch.setattr(rows_, "MAX_BYTES", 20)
    with pytest.raises(CatalogError, match="too large"):
        list(read_rows(path))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_a_catalog_error(tmp_path, data):
    path = tmp_path / "any"
    path.write_bytes(data)
    try:
        for row in read_rows(path):
            assert all(isinstance(cell, str) for cell in row.cells.values())
    except CatalogError:
        pass


def test_a_table_sorts_by_path_whatever_its_order(shop):
    rows = ["a.jpg,A", "b.jpg,B", "img/c.jpg,C"]
    one = scan(table(shop, "\n".join(["path,label", *rows])))
    other = scan(table(shop, "\n".join(["path,label", *reversed(rows)])))
    assert one.entries == other.entries


def test_pictures_of_a_table_are_found_again(shop):
    path = table(shop, "path,label\nimg/c.jpg,C\n")
    for refs in (path, shop):
        assert on_disk(base_of(str(refs)), "img/c.jpg") == shop / "img" / "c.jpg"


def test_a_row_without_a_label_takes_that_of_its_item(shop):
    text = "path,key,label\na.jpg,A1,\nb.jpg,A1,Red mug\nimg/c.jpg,B2,\n"
    listing = scan(table(shop, text))
    assert [entry.reference.label for entry in listing.entries] == ["Red mug", "Red mug", "B2"]
    assert listing.notes == ()
