"""The plan between a listing and what a gallery holds."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.catalog.entry import Entry, Listing
from kenspeckle.catalog.folder import scan
from kenspeckle.catalog.sync import Change, plan, sha256_of
from kenspeckle.types import Reference


def stored_of(listing, *, first=1, views=()):
    """Rows as a gallery would hold them after indexing the listing."""
    rows = []
    for entry in listing.entries:
        digest = sha256_of(entry.source)
        for view in ("", *views):
            rows.append((first + len(rows), replace(entry.reference, sha256=digest, view=view)))
    return rows


def never(source):
    raise AssertionError(f"{source} was read")


@pytest.fixture
def folder(tmp_path):
    for name in ("mug", "cup", "can"):
        (tmp_path / f"{name}.jpg").write_bytes(name.encode() * 10)
    return tmp_path


def counts(work):
    return [
        len(part)
        for part in (work.add, work.change, work.relabel, work.touch, work.remove, work.same)
    ]


def restamp(path, ns=10**18):
    os.utime(path, ns=(ns, ns))


def test_a_first_run_adds_everything(folder):
    work = plan(scan(folder), [])
    assert [entry.reference.path for entry in work.add] == ["can.jpg", "cup.jpg", "mug.jpg"]
    assert work


def test_an_unchanged_folder_is_no_work_and_reads_no_file(folder):
    listing = scan(folder)
    work = plan(scan(folder), stored_of(listing), hasher=never)
    assert not work
    assert counts(work) == [0, 0, 0, 0, 0, 3]
    assert list(work.lines()) == [
        "0 to add, 0 to embed again, 0 to rename, 0 to remove, 3 unchanged"
    ]


def test_one_more_picture_is_the_only_work(folder):
    stored = stored_of(scan(folder))
    (folder / "pot.jpg").write_bytes(b"pot")
    work = plan(scan(folder), stored, hasher=never)
    assert [entry.reference.key for entry in work.add] == ["pot"]
    assert counts(work) == [1, 0, 0, 0, 0, 3]


def test_a_new_time_with_old_content_is_not_embedded(folder):
    stored = stored_of(scan(folder), views=("camera-1",))
    restamp(folder / "mug.jpg")
    work = plan(scan(folder), stored)
    assert counts(work) == [0, 0, 0, 2, 0, 2]
    assert work.touched == 1
    assert list(work.lines())[-1].endswith("0 to remove, 3 unchanged")
    assert set(work.touch) == {
        (5, 30, 10**18),
        (6, 30, 10**18),
    }


def test_new_content_is_embedded_and_replaces_the_views_too(folder):
    stored = stored_of(scan(folder), views=("camera-1", "camera-2"))
    (folder / "cup.jpg").write_bytes(b"another cup")
    work = plan(scan(folder), stored)
    assert [(c.entry.reference.path, c.ids) for c in work.change] == [("cup.jpg", (4, 5, 6))]
    assert counts(work) == [0, 1, 0, 0, 0, 2]


def test_rehash_finds_content_that_changed_behind_size_and_time(folder):
    stored = stored_of(scan(folder))
    path = folder / "mug.jpg"
    before = path.stat()
    path.write_bytes(b"gum" * 10)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not plan(scan(folder), stored)
    work = plan(scan(folder), stored, rehash=True)
    assert [change.entry.reference.path for change in work.change] == ["mug.jpg"]
    assert len(work.same) == 2


def test_a_picture_that_is_gone_is_removed_with_its_views(folder):
    stored = stored_of(scan(folder), views=("camera-1",))
    (folder / "can.jpg").unlink()
    work = plan(scan(folder), stored)
    assert [id_ for id_, _ in work.remove] == [1, 2]
    assert "- can.jpg  can" in list(work.lines())
    assert list(work.lines())[-1].split(", ")[3] == "1 to remove"


def test_a_renamed_file_keeps_its_vector(folder):
    stored = stored_of(scan(folder), views=("camera-1",))
    (folder / "mug.jpg").rename(folder / "red_mug.jpg")
    work = plan(scan(folder), stored)
    assert counts(work) == [0, 0, 2, 0, 0, 2]
    assert [(r.id, r.reference.path, r.reference.view) for r in work.relabel] == [
        (5, "red_mug.jpg", ""),
        (6, "red_mug.jpg", "camera-1"),
    ]
    assert {r.reference.label for r in work.relabel} == {"red mug"}
    assert work.relabel[0].reference.sha256 == stored[4][1].sha256
    assert "= mug.jpg → red_mug.jpg  red mug" in list(work.lines())


def test_a_file_of_equal_size_and_other_content_is_no_rename(folder):
    stored = stored_of(scan(folder))
    (folder / "mug.jpg").unlink()
    (folder / "pot.jpg").write_bytes(b"pot" * 10)
    assert counts(plan(scan(folder), stored)) == [1, 0, 0, 0, 1, 2]


def test_one_of_two_copies_of_a_renamed_file_is_added(folder):
    stored = stored_of(scan(folder))
    data = (folder / "mug.jpg").read_bytes()
    (folder / "mug.jpg").unlink()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(data)
    work = plan(scan(folder), stored)
    assert [row.reference.path for row in work.relabel] == ["a.jpg"]
    assert [entry.reference.path for entry in work.add] == ["b.jpg"]


def test_another_label_or_metadata_needs_no_embedding(folder):
    stored = stored_of(scan(folder))
    (folder / "labels.csv").write_text("filename,label,maker\nmug.jpg,Red mug,Acme\n")
    work = plan(scan(folder), stored, hasher=never)
    assert counts(work) == [0, 0, 1, 0, 0, 2]
    assert work.relabel[0].reference.metadata == {"maker": "Acme"}
    assert "= mug.jpg  mug → Red mug" in list(work.lines())


def test_pictures_in_a_folder_that_cannot_be_listed_stay(folder):
    (folder / "set").mkdir()
    (folder / "set" / "one.jpg").write_bytes(b"1")
    (folder / "settee.jpg").write_bytes(b"2")
    listing = scan(folder)
    seen = tuple(e for e in listing.entries if not e.reference.path.startswith("set"))
    work = plan(Listing(seen, unread=("set",)), stored_of(listing))
    assert [reference.path for _, reference in work.remove] == ["settee.jpg"]
    assert (len(work.same), work.kept) == (4, 1)


def test_addresses_are_the_same_until_a_rehash():
    entry = Entry(
        Reference("mug", "mug", "https://example.org/mug.jpg"), "https://example.org/mug.jpg"
    )
    stored = [(7, replace(entry.reference, sha256="ab"))]
    listing = Listing((entry,))
    assert not plan(listing, stored, hasher=never)
    assert plan(listing, stored, rehash=True).change == [Change(entry, (7,))]


def test_a_file_that_cannot_be_read_is_left_to_the_embedding(folder):
    stored = stored_of(scan(folder))
    restamp(folder / "mug.jpg")

    def refuses(source):
        raise PermissionError(13, "no", str(source))

    assert len(plan(scan(folder), stored, hasher=refuses).change) == 1


def test_views_without_their_picture_are_dropped(folder):
    rows = [row for row in stored_of(scan(folder), views=("camera-1",)) if row[1].view]
    work = plan(scan(folder), rows)
    assert (len(work.add), len(work.remove)) == (3, 3)


names = st.text("abc", min_size=1, max_size=3)
files = st.dictionaries(names, st.binary(max_size=2), max_size=8)


def listing_of(contents):
    return Listing(
        tuple(
            Entry(
                Reference(name, name, f"{name}.jpg", size=len(data), mtime_ns=hash(data)),
                f"f:{name}",
            )
            for name, data in sorted(contents.items())
        )
    )


def hasher_of(contents):
    return lambda source: contents[source.removeprefix("f:")].hex() + "#"


def carried_out(work, stored, contents):
    """What a gallery holds after the plan, by path."""
    rows = dict(stored)
    for id_, _ in work.remove:
        del rows[id_]
    for change in work.change:
        for id_ in change.ids:
            del rows[id_]
    for row in work.relabel:
        rows[row.id] = row.reference
    for id_, size, time in work.touch:
        rows[id_] = replace(rows[id_], size=size, mtime_ns=time)
    for entry in [*work.add, *(change.entry for change in work.change)]:
        digest = hasher_of(contents)(entry.source)
        rows[max(rows, default=0) + 1] = replace(entry.reference, sha256=digest)
    return rows


@given(files, files, st.randoms(use_true_random=False), st.booleans())
def test_a_carried_out_plan_leaves_nothing_to_do(before, after, random, rehash):
    stored = list(carried_out(plan(listing_of(before), []), [], before).items())
    random.shuffle(stored)
    work = plan(listing_of(after), stored, rehash=rehash, hasher=hasher_of(after))
    rows = carried_out(work, stored, after)
    assert sorted((r.path, r.sha256) for r in rows.values()) == sorted(
        (f"{name}.jpg", hasher_of(after)(f"f:{name}")) for name in after
    )
    assert not plan(listing_of(after), rows.items(), hasher=never)


@given(files, files, st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_rows(before, after, random):
    stored = list(carried_out(plan(listing_of(before), []), [], before).items())
    one = plan(listing_of(after), stored, hasher=hasher_of(after))
    random.shuffle(stored)
    other = plan(listing_of(after), stored, hasher=hasher_of(after))
    assert one.add == other.add
    assert one.relabel == other.relabel
    assert sorted(one.same) == sorted(other.same)
    assert one.remove == other.remove
