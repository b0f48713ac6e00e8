"""Every layout is read, and everything that takes no part is counted with its reason."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from labelled import logodet, picture, voc
from PIL import Image

from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.datasets import Dataset, Truth, read
from kenspeckle.evaluate.layouts.voc import read_voc
from kenspeckle.evaluate.protocols import draws


def table(folder: Path, text: str, name: str = "table.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def why(dataset: Dataset) -> dict[str, str]:
    return dict(dataset.excluded)


def test_a_table_and_all_that_is_wrong_with_it(tmp_path: Path) -> None:
    for name in "abcdefgh":
        picture(tmp_path / f"{name}.png")
    (tmp_path / "i.png").write_bytes(b"no picture")
    path = table(
        tmp_path,
        "role,label,path,box\n"
        "reference,one,a.png,\n"
        "gallery,two,b.png,0 0 10 10\n"
        "reference,two,a.png,0 0 99 10\n"  # 4: outside
        "query,one,c.png,1 1 49 33\n"  # clipped by a pixel
        "query,two,c.png,5;5;9;9\n"
        "Query,one,d.png,9 9 9 20\n"  # 7: empty
        "judge,one,e.png,\n"  # 8
        "query,three,e.png,\n"  # 9: only in queries
        "query,one,missing.png,\n"  # 10
        "unknown,,f.png,\n"
        "stranger,four,g.png,\n"
        "stranger,one,h.png,\n"  # 13: has references
        "query,,h.png,\n"  # 14
        "query,one,g.png,\n"  # 15: a stranger above
        "query,one,c.png,1 1 49 33\n"  # 16: again
        "query,one,,\n"  # 17
        "query,one,b.png,here\n"  # 18
        "query,one,i.png,0 0 1 1\n",  # 19: unreadable, and needs its size
    )
    data = read(path)
    assert data.items == ("one", "two")
    assert [(s.name, s.box) for s in data.references] == [
        ("a.png", None),
        ("b.png", (0, 0, 10, 10)),
    ]
    (query,) = data.queries
    assert query.truths == (Truth("one", (1, 1, 48, 32)), Truth("two", (5, 5, 9, 9)))
    assert [(s.name, s.label) for s in data.strangers] == [("f.png", ""), ("g.png", "four")]
    assert why(data) == {
        "a.png (0, 0, 99, 10)": "a box outside its picture",
        "d.png (9, 9, 9, 20)": "an empty box",
        "table.csv, line 8": "unknown role 'judge'",
        "e.png": "a query of 'three', without a reference",
        "missing.png": "no such file",
        "h.png": "a stranger 'one', which has references",
        "table.csv, line 14": "a query without a label",
        "table.csv, line 15": "a query that an earlier row calls a stranger",
        "table.csv, line 16": "says the same as an earlier row",
        "table.csv, line 17": "no path",
        "table.csv, line 18": "a box 'here' that is not x0 y0 x1 y1",
        "i.png": "unreadable: 10 bytes unlike the beginning of any picture",
    }
    assert sum(data.reasons.values()) == len(data.excluded)


def test_boxes_beside_a_table_and_captures_in_it(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    table(tmp_path, "path,x0,y0,x1,y1\nb.png,1,2,3,4\nc.png,1,2,300,4\n", "boxes.csv")
    path = table(
        tmp_path, "role,label,path,capture\nreference,x,a.png,7\nquery,x,b.png,8\nquery,x,c.png,8\n"
    )
    data = read(path)
    assert [(s.box, s.capture) for s in data.queries] == [((1, 2, 3, 4), "8")]
    assert why(data) == {"c.png (1, 2, 300, 4)": "a box outside its picture"}
    assert "boxes.csv" in data.notes[0]


def test_a_box_is_measured_after_the_rotation(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(tmp_path / "a.png") as image:
        image.save(tmp_path / "b.jpg", exif=exif)
    rows = "role,label,path,box\nreference,x,a.png,\nquery,x,b.jpg,{}\n"
    assert read(table(tmp_path, rows.format("0 0 32 48"))).queries[0].box == (0, 0, 32, 48)
    with pytest.raises(CatalogError, match="a box outside its picture"):
        read(table(tmp_path, rows.format("0 0 48 32")))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("role,path\nreference,a.png\n", "no column label"),
        ("", "nothing was listed"),
        ("role,label,path\nquery,x,a.png\n", "no reference"),
        ("role,label,path\nreference,x,a.png\n", "no picture to ask about"),
        ("role,label,path\nreference,x,no.png\nquery,x,a.png\n", "no such file"),
    ],
)
def test_a_table_of_no_use_says_why(tmp_path: Path, text: str, found: str) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(CatalogError, match=found):
        read(table(tmp_path, text), "table")


def test_two_tables_in_a_folder_have_to_be_told_apart(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    rows = "role,label,path\nreference,x,a.png\nquery,x,a.png\n"
    table(tmp_path, rows, "one.csv")
    table(tmp_path, "some,thing\n1,2\n", "other.csv")
    assert read(tmp_path).layout == "table"
    table(tmp_path, rows, "two.csv")
    with pytest.raises(CatalogError, match=r"one\.csv, two\.csv"):
        read(tmp_path)


def test_a_folder_an_item(tmp_path: Path) -> None:
    for name in ("one/1.png", "one/2.png", "one/deep/3.png", "two/1.png", "loose.png"):
        picture(tmp_path / name)
    (tmp_path / "one/notes.txt").write_text("x")
    data = read(tmp_path)
    assert data.layout == "folders"
    assert [s.label for s in data.references] == ["one"] * 3 + ["two"]
    assert [s.name for s in data.references] == [s.name for s in data.queries]
    assert why(data) == {
        "loose.png": "lies in no item's folder",
        "one/notes.txt": "not a picture file",
    }


def test_folders_that_say_roles(tmp_path: Path) -> None:
    for name in ("refs/one/1.png", "queries/one/2.png", "queries/two/3.png", "refs/4.png"):
        picture(tmp_path / name)
    for name in ("strangers/5.png", "strangers/three/6.png", "other/one/7.png"):
        picture(tmp_path / name)
    data = read(tmp_path)
    assert [s.name for s in data.references] == ["refs/one/1.png"]
    assert [s.name for s in data.queries] == ["queries/one/2.png"]
    assert [(s.name, s.label) for s in data.strangers] == [
        ("strangers/5.png", ""),
        ("strangers/three/6.png", "three"),
    ]
    assert set(why(data)) == {"refs/4.png", "other/one/7.png", "queries/two/3.png"}


def test_logodet_keys_by_category_and_brand(tmp_path: Path) -> None:
    picture(logodet(tmp_path) / "Food/Star/9.jpg")
    (tmp_path / "Food/Star/8.xml").write_text("<annotation/>")
    data = read(tmp_path)
    assert data.items == ("Clothes/Moon", "Clothes/Star", "Food/Star", "Leisure/Sun")
    two = next(q for q in data.queries if q.name == "Clothes/Moon/2.jpg")
    assert two.truths == (Truth("Clothes/Star", (1, 1, 9, 9)),)
    assert why(data) == {
        "Food/Star/3.xml": "broken XML (no element found: line 1, column 20)",
        "Food/Star/8.xml": "XML without a picture",
        "Food/Star/9.jpg": "a picture without XML",
        "Clothes/Moon/2.jpg (2, 3, 99, 21)": "a box outside its picture",
    }


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>'
    "<annotation><object><name>&c;</name></object></annotation>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_with_declarations_is_refused(tmp_path: Path, encoding: str) -> None:
    text = LAUGHS.replace("?>", f' encoding="{encoding}"?>', 1)
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    with pytest.raises(CatalogError, match="declares a document type"):
        read_voc(tmp_path / "a.xml")


@pytest.mark.parametrize(
    "text", ["", "no xml", "<annotation><object>", "<a>&nope;</a>", "<a>" * 5000, "\0" * 99]
)
def test_broken_xml_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.xml").write_text(text, "utf-8")
    with pytest.raises(CatalogError, match="broken XML"):
        read_voc(tmp_path / "a.xml")


def test_voc_takes_fractions_and_names_what_it_cannot_read(tmp_path: Path) -> None:
    text = (
        "<annotation><size><width>40</width><height>30</height></size>"
        "<object><name>a</name><bndbox><xmin>1.6</xmin><ymin>2</ymin><xmax>9.2</xmax>"
        "<ymax>8</ymax></bndbox></object><object><name>b</name><bndbox><xmin>x</xmin></bndbox>"
        "</object><object><name>c</name><part><name>d</name></part><bndbox><xmin>nan</xmin>"
        "<ymin>1</ymin><xmax>inf</xmax><ymax>3</ymax></bndbox></object></annotation>"
    )
    (tmp_path / "a.xml").write_text(text)
    voc_read = read_voc(tmp_path / "a.xml")
    assert voc_read.boxes == (("a", (1, 2, 10, 8)),)
    assert voc_read.broken == ("b", "c")
    assert voc_read.size == (40, 30)


def test_boxes_of_the_picture_before_its_rotation_are_left_out(tmp_path: Path) -> None:
    logodet(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "Food/Star/1.jpg"
    with Image.open(path) as image:
        image.load()
        image.save(path, exif=exif)
    size = "<size><width>48</width><height>32</height></size>"
    voc(tmp_path / "Food/Star/1.xml", ("Star", (2, 3, 20, 21)), size=size)
    excluded = why(read(tmp_path))
    assert excluded["Food/Star/1.xml"] == "boxes of the picture before its EXIF rotation"


def coco(**changes: object) -> dict[str, object]:
    return {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 48, "height": 32},
            {"id": 2, "file_name": "b.png"},
            {"id": 3, "file_name": "../c.png"},
            {"id": 2, "file_name": "d.png"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [0.5, 1, 10, 10.2]},
            {"id": 2, "image_id": 1, "category_id": 8, "bbox": [1, 1, 5, 5]},
            {"id": 3, "image_id": 1, "category_id": 7, "bbox": [1, 1, 5, 5], "iscrowd": 1},
            {"id": 4, "image_id": 9, "category_id": 7, "bbox": [1, 1, 5, 5]},
            {"id": 5, "image_id": 1, "category_id": 9, "bbox": [1, 1, 5, 5]},
            {"id": 6, "image_id": 1, "category_id": 7, "bbox": [1, 1, 5]},
            {"id": 7, "image_id": 1, "category_id": 7, "bbox": [40, 1, 50, 5]},
            {"id": 8, "image_id": [1], "category_id": 7, "bbox": [1, 1, 5, 5]},
            "x",
        ],
        "categories": [
            {"id": 7, "name": "cup", "supercategory": "kitchen"},
            {"id": 8, "name": "cup", "supercategory": "sport"},
        ],
        **changes,
    }


def test_coco(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    picture(tmp_path / "images/b.png")
    table(tmp_path, json.dumps(coco()), "instances.json")
    data = read(tmp_path)
    assert data.layout == "coco"
    (query,) = data.queries
    assert query.truths == (
        Truth("kitchen/cup", (0, 1, 11, 12)),
        Truth("sport/cup", (1, 1, 6, 6)),
    )
    assert [s.name for s in data.strangers] == ["images/b.png"]
    assert len(data.references) == 2
    assert data.references[0].capture == query.capture
    assert sorted(why(data).values()) == [
        "a box outside its picture",
        "a box that is not [x, y, width, height]",
        "a category that is not listed",
        "a crowd",
        "an image that is not listed",
        "an image that is not listed",
        "an image whose id another has",
        "no file name below this folder",
        "no object",
    ]


@pytest.mark.parametrize("change", [{"images": 4}, {"categories": {}}, {"annotations": None}])
def test_json_that_is_no_coco_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = table(tmp_path, json.dumps(coco(**change)), "a.json")
    with pytest.raises(CatalogError, match="no COCO annotations"):
        read(path, "coco")


def test_photos_named_by_their_items(tmp_path: Path) -> None:
    for name in ("Mill/1.png", "Old_Vale/1.jpg", "Old_Vale/2.bmp"):
        picture(tmp_path / name)
    shows = {
        "mill_1.png": ("Mill",),
        "MILL+old_vale_2.png": ("Mill", "Old_Vale"),
        "old_vale_x_3.png": ("Old_Vale",),
        "miller_4.png": (),
        "mill.png": (),
        "negative_5.png": (),
    }
    for name in shows:
        picture(tmp_path / "test_images" / name)
    data = read(tmp_path)
    assert data.layout == "prefixed"
    told = {s.name.split("/")[1]: s.labels for s in (*data.queries, *data.strangers)}
    assert told == shows
    assert [s.label for s in data.references] == ["Mill", "Old_Vale", "Old_Vale"]


LINKED = """
CREATE TABLE {pictures} (id INTEGER PRIMARY KEY, {file} TEXT);
CREATE TABLE shown (a INTEGER{fk1}, b INTEGER{fk2});
"""


def database(folder: Path, script: str, rows: dict[str, list[tuple[object, ...]]]) -> Path:
    """A mapping database with three logos, their crops, and tables of unknown names."""
    for name in ("1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"):
        picture(folder / "test_images" / name)
    crops = [("acme_1_0.jpg", 1), ("bolt_2_0.jpg", 2), ("core-x.jpg", 3)]
    for crop, _ in crops:
        picture(folder / "reference_logos" / crop)
    path = folder / "test_data_mapping.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE logo_names (id INTEGER PRIMARY KEY, name TEXT);"
            "CREATE TABLE reference_logos (filename TEXT, logo_name_id INTEGER);" + script
        )
        names = [(1, "acme"), (2, "bolt"), (3, "core")]
        for table_name, values in {"logo_names": names, "reference_logos": crops, **rows}.items():
            marks = ",".join("?" * len(values[0]))
            connection.executemany(f"INSERT INTO {table_name} VALUES ({marks})", values)
        connection.commit()
    return path


PAIRS = {"1.jpg": ("acme",), "2.jpg": ("bolt",), "3.jpg": ("acme", "core"), "4.jpg": ("core",)}
FILES = [(10, "1.jpg"), (11, "2.jpg"), (12, "3.jpg"), (13, "4.jpg"), (14, "5.jpg"), (15, "6.jpg")]
LINKS = [(10, 1), (11, 2), (12, 1), (12, 3), (13, 3)]


@pytest.mark.parametrize(
    ("script", "rows"),
    [
        (
            "CREATE TABLE image_logos (image TEXT, logo_name_id INTEGER);",
            {"image_logos": [("x/" + n, i) for n, i in [
                ("1.jpg", 1), ("2.jpg", 2), ("3.jpg", 1), ("3.jpg", 3), ("4.jpg", 3)]]},
        ),
        (
            LINKED.format(
                pictures="test_images", file="filename",
                fk1=" REFERENCES test_images(id)", fk2=" REFERENCES logo_names(id)",
            ),
            {"test_images": FILES, "shown": LINKS},
        ),
        (
            "CREATE TABLE pics (id INTEGER PRIMARY KEY, f TEXT, width INTEGER);"
            "CREATE TABLE rel (pic_id INTEGER, logo_name_id INTEGER, note TEXT);",
            {
                "pics": [(n, f, 1) for n, f in FILES],
                "rel": [(a, b, "n") for a, b in LINKS],
            },
        ),
        (LINKED.format(pictures="t", file="f", fk1="", fk2=""), {"t": FILES, "shown": LINKS}),
    ],
    ids=["one table", "foreign keys", "names of columns", "values alone"],
)  # fmt: skip
def test_a_mapping_database_is_read_by_shape(
    tmp_path: Path, script: str, rows: dict[str, list[tuple[object, ...]]]
) -> None:
    path = database(tmp_path, script, rows)
    before = path.read_bytes()
    data = read(tmp_path)
    assert data.layout == "mapping"
    assert {q.name.split("/")[1]: q.labels for q in data.queries} == PAIRS
    assert [s.capture for s in data.references] == ["test_images/1.jpg", "test_images/2.jpg", ""]
    assert any("logo" in note and "pictures from" in note for note in data.notes)
    assert any("2 of 3 references" in note for note in data.notes)
    assert why(data) == {"test_images/5.jpg": "a picture that the database does not name"}
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*-journal")) + list(tmp_path.glob("*-wal"))


@pytest.mark.parametrize(
    ("script", "rows", "found"),
    [
        ("", {}, "0 readings"),
        (
            "CREATE TABLE a (f TEXT, l INTEGER REFERENCES logo_names(id),"
            " m INTEGER REFERENCES logo_names(id));",
            {"a": [("1.jpg", 1, 2), ("2.jpg", 2, 3)]},
            r"2 readings.*a\.l / .*a\.m.*a\(f, l, m\)",
        ),
        (
            "CREATE TABLE a (f TEXT, l INTEGER REFERENCES logo_names(id));",
            {"a": [("no.jpg", 1), ("neither.jpg", 2)]},
            "0 readings",
        ),
    ],
)
def test_a_database_without_one_reading_is_refused_with_its_schema(
    tmp_path: Path, script: str, rows: dict[str, list[tuple[object, ...]]], found: str
) -> None:
    database(tmp_path, script, rows)
    with pytest.raises(CatalogError, match=found) as error:
        read(tmp_path)
    assert "logo_names(id, name)" in str(error.value)


def test_a_file_that_is_no_database_and_one_of_others(tmp_path: Path) -> None:
    (tmp_path / "test_images").mkdir()
    (tmp_path / "test_data_mapping.db").write_bytes(b"SQLite format 3\0" + b"x" * 99)
    with pytest.raises(CatalogError, match="not a readable SQLite file"):
        read(tmp_path)
    (tmp_path / "test_data_mapping.db").unlink()
    with closing(sqlite3.connect(tmp_path / "test_data_mapping.db")) as connection:
        connection.execute("CREATE TABLE cats (id INTEGER)")
        connection.commit()
    with pytest.raises(CatalogError, match=r"tables cats\(id\).*logo_names\(id, name\)"):
        read(tmp_path)


def test_what_is_not_there_or_not_known(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no such file or folder"):
        read(tmp_path / "no")
    with pytest.raises(CatalogError, match="expected auto or table or"):
        read(tmp_path, "nope")
    with pytest.raises(CatalogError, match="no reference"):
        read(tmp_path)
    with pytest.raises(CatalogError, match="no such file"):
        read(tmp_path, "coco")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(CatalogError, match="a file"):
        read(tmp_path / "a.txt", "logodet")


@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("coins/split.csv", (4, 16, 90, 100)),
        ("emoji-styles/split.csv", (120, 120, 479, 480)),
        ("grocery/split.csv", (41, 41, 328, 320)),
        ("logos/split-closed.csv", (194, 194, 649, 0)),
        ("stamps/split.csv", (100, 100, 300, 300)),
    ],
)
def test_real_sets_are_read_whole(
    assets: Path, name: str, counts: tuple[int, int, int, int]
) -> None:
    data = read(assets / "data" / name)
    parts = (data.items, data.references, data.queries, data.strangers)
    assert tuple(map(len, parts)) == counts
    assert not data.excluded


@pytest.mark.parametrize("layout", ["auto", "table", "coco", "mapping"])
@pytest.mark.parametrize("seed", range(12))
def test_noise_is_an_error_of_ours(tmp_path: Path, layout: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    begins = (b"", b"role,label,path\n", b'{"images": [', b"SQLite format 3\0", b"[", b"\xff\xfe")
    noise = rng.integers(0, 256, int(rng.integers(1, 3000)), np.uint8).tobytes()
    path = tmp_path / ("a.json" if seed % 2 else "a.csv")
    path.write_bytes(begins[seed % len(begins)] + noise)
    (tmp_path / "test_images").mkdir()
    with pytest.raises(CatalogError):
        read(path, layout)


def test_names_that_are_not_unicode_are_told_and_read(tmp_path: Path) -> None:
    odd = os.fsdecode(b"item\xe9")
    for name in (f"{odd}/1.png", f"{odd}/2.png", "plain/1.png"):
        try:
            picture(tmp_path / name)
        except OSError:
            pytest.skip("this file system takes no such names")
    data = read(tmp_path)
    assert len(data.references) == 3
    assert all(s.name.isprintable() and s.label.isprintable() for s in data.references)
    assert len(list(draws(data, 2))) == 2
