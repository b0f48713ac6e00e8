"""What people say about answers, on pictures drawn in code and the dummy model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kenspeckle import Gallery
from kenspeckle.config import IdentifySettings, IndexSettings, ModelSettings, Settings
from kenspeckle.errors import (
    GalleryError,
    IndexReadOnly,
    InputError,
    PictureError,
    SpaceMismatch,
)
from kenspeckle.flows import calibrate
from kenspeckle.flows.feedback import heard

DUMMY = Settings(models=ModelSettings(name="dummy"))


@pytest.fixture
def folder(drawn, tmp_path) -> Path:
    made = tmp_path / "things"
    made.mkdir()
    for place in range(6):
        drawn(place).save(made / f"thing {place}.png")
    return made


@pytest.fixture
def photo(drawn, tmp_path) -> Path:
    """A photo of thing 3."""
    path = tmp_path / "photo.png"
    drawn(3).rotate(8).save(path)
    return path


@pytest.fixture
def stranger(drawn, tmp_path) -> Path:
    path = tmp_path / "stranger.png"
    drawn(77).save(path)
    return path


@pytest.fixture
def gallery(folder, tmp_path):
    with Gallery.create(tmp_path / "g.ken", settings=DUMMY) as made:
        made.index(folder)
        yield made


def paths(gallery: Gallery, key: str) -> list[str]:
    return [one.path for one in gallery.references(key)]


def test_a_confirmed_photo_becomes_a_reference(gallery, folder, photo):
    said = gallery.confirm(photo, "thing 3")
    assert (said.kind, said.key, said.name) == ("confirmed", "thing 3", str(photo))
    (one,) = [r for r in gallery.references("thing 3") if r.origin]
    assert (one.path, one.origin, one.sha256) == (str(photo), "confirmed", said.sha256)
    assert one.size == photo.stat().st_size
    answer = gallery.identify(photo)
    assert (answer.key, answer.candidates[0].reference.path) == ("thing 3", str(photo))
    assert answer.similarity == pytest.approx(1, abs=1e-3)
    report = gallery.index(folder)
    assert (report.same, report.removed) == (6, 0)
    assert paths(gallery, "thing 3") == [str(photo), "thing 3.png"]
    assert gallery.stale == ""


def test_the_rows_are_those_of_the_photos_regions(folder, photo, tmp_path):
    settings = replace(DUMMY, identify=IdentifySettings(regions="windows"))
    with Gallery.create(tmp_path / "g.ken", settings=settings) as gallery:
        gallery.index(folder)
        said = gallery.confirm(photo, "thing 3")
        assert said.regions == "whole+windows"
        assert len(said.rows) > 1
        (stored,) = gallery.feedback()
        np.testing.assert_array_equal(stored.rows, said.rows)
        whole = gallery.embedder.vector(gallery.picture(photo).image)
        np.testing.assert_allclose(stored.rows[0], whole, atol=1e-6)


def test_feedback_makes_the_calibration_stale_until_the_next(gallery, folder, photo, stranger):
    assert gallery.stale == ""
    gallery.reject(stranger, "thing 1")
    assert gallery.stale == gallery.info().stale == "feedback was given since"
    answer = gallery.identify(photo)
    assert "no promise: the calibration is out of date: feedback was given since" in answer.reasons
    gallery.index(folder)
    assert gallery.stale == ""
    assert any("feedback on 1 answer is not used" in note for note in gallery.calibration.notes)
    gallery.undo_feedback(1)
    assert gallery.stale == "feedback was given since"


def test_a_rejected_answer_is_kept_and_changes_no_reference(gallery, folder, stranger):
    before = gallery.references()
    said = gallery.reject(stranger, "thing 1")
    assert (said.kind, said.key, len(said.rows)) == ("rejected", "thing 1", 1)
    gallery.index(folder)
    assert gallery.references() == before
    assert [one.key for one in gallery.feedback()] == ["thing 1"]


def test_without_a_key_the_present_answer_is_rejected(gallery, folder, photo, stranger):
    assert gallery.reject(photo).key == "thing 3"
    with pytest.raises(GalleryError, match=r"'unknown'.*kenspeckle reject PHOTO KEY"):
        gallery.reject(stranger)


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (("confirm", "thing 3"), ("confirm", "thing 3"), "confirmed as 'thing 3'.*--undo 1"),
        (("confirm", "thing 3"), ("confirm", "thing 4"), "nothing that contradicts it.*--undo 1"),
        (("confirm", "thing 3"), ("reject", "thing 3"), "nothing that contradicts it.*--undo 1"),
        (("reject", "thing 3"), ("confirm", "thing 3"), "nothing that contradicts it.*--undo 1"),
        (("reject", "thing 3"), ("reject", "thing 3"), "rejected as 'thing 3'.*--undo 1"),
    ],
)
def test_what_was_said_cannot_be_said_again_or_contradicted(gallery, photo, first, then, message):
    getattr(gallery, first[0])(photo, first[1])
    references = gallery.references()
    with pytest.raises(GalleryError, match=message):
        getattr(gallery, then[0])(photo, then[1])
    assert len(gallery.feedback()) == 1
    assert gallery.references() == references


def test_a_photo_may_be_one_thing_and_not_others(gallery, photo):
    gallery.reject(photo, "thing 1")
    gallery.reject(photo, "thing 2")
    gallery.confirm(photo, "thing 3")
    gallery.reject(photo, "thing 4")
    assert [one.key for one in gallery.feedback()] == ["thing 1", "thing 2", "thing 3", "thing 4"]
    assert (gallery.info().confirmed, gallery.info().rejected) == (1, 3)


def test_an_unknown_key_is_told_with_near_ones(gallery, photo):
    for call in (gallery.confirm, gallery.reject):
        with pytest.raises(GalleryError, match="Did you mean 'thing 3'"):
            call(photo, "Thing 33")
        with pytest.raises(GalleryError, match="See `kenspeckle list`"):
            call(photo, "zzzzz")
    with pytest.raises(GalleryError, match="no such item"):
        gallery.rename("zzzzz", "A")
    assert gallery.feedback() == []


def test_what_is_no_photo_is_refused(gallery, folder, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    for call in (gallery.confirm, gallery.reject):
        with pytest.raises(PictureError, match=r"bad\.jpg"):
            call(bad, "thing 1")
        with pytest.raises(PictureError, match="no such file"):
            call(tmp_path / "none.jpg", "thing 1")
        with pytest.raises(InputError, match="decoded pixels"):
            call(np.zeros((9, 9, 3), np.uint8), "thing 1")
    with pytest.raises(GalleryError, match="a reference of 'thing 1' already"):
        gallery.confirm(folder / "thing 1.png", "thing 2")
    with pytest.raises(GalleryError, match="a reference of 'thing 1' already"):
        gallery.reject(folder / "thing 1.png", "thing 1")
    assert gallery.reject(folder / "thing 1.png", "thing 2").key == "thing 2"
    assert len(gallery) == 6


def test_an_index_that_is_only_read_takes_nothing(gallery, photo, tmp_path):
    with Gallery.open(tmp_path / "g.ken", settings=DUMMY) as reader:
        for call in (
            lambda: reader.confirm(photo, "thing 3"),
            lambda: reader.reject(photo, "thing 3"),
            lambda: reader.rename("thing 3", "Other"),
        ):
            with pytest.raises(IndexReadOnly, match="write=True"):
                call()
        assert reader.feedback() == []


def test_bytes_and_a_file_that_was_overwritten_are_told_apart(gallery, drawn, photo):
    gallery.confirm(photo, "thing 3")
    drawn(3).rotate(12).save(photo)  # a camera that always writes to one file
    gallery.confirm(photo, "thing 3")
    drawn(3).rotate(20).save(photo)
    gallery.confirm(photo.read_bytes(), "thing 3")
    found = [one.path for one in gallery.references("thing 3") if one.origin]
    assert len(set(found)) == 3
    assert found[0].startswith(str(photo)) or found[-1].startswith("confirmed/")


def test_undo_takes_the_reference_along(gallery, photo):
    gallery.confirm(photo, "thing 3")
    gallery.reject(photo, "thing 1")
    assert gallery.undo_feedback(1).kind == "confirmed"
    assert paths(gallery, "thing 3") == ["thing 3.png"]
    assert [one.id for one in gallery.feedback()] == [2]
    with pytest.raises(GalleryError, match="no such feedback"):
        gallery.undo_feedback(1)
    gallery.confirm(photo, "thing 3")
    assert len(paths(gallery, "thing 3")) == 2


def test_a_confirmed_photo_of_which_nothing_is_said_can_be_confirmed(gallery, photo):
    said = gallery.confirm(photo, "thing 3")
    gallery.store.remove_feedback(said.id)
    gallery.confirm(photo, "thing 3")
    assert paths(gallery, "thing 3") == [str(photo), "thing 3.png"]


def test_what_is_erased_takes_what_was_said_about_it_along(gallery, photo, stranger):
    gallery.confirm(photo, "thing 3")
    gallery.reject(stranger, "thing 1")
    gallery.remove(str(photo))
    assert [one.key for one in gallery.feedback()] == ["thing 1"]
    gallery.remove("thing 1")
    assert gallery.feedback() == []


def test_a_print_is_the_nearest_unless_it_is_said(gallery, photo, drawn, tmp_path):
    blue = tmp_path / "blue.png"
    drawn(3).rotate(9).save(blue)
    gallery.add(blue, key="thing 3", label="thing 3", variant="blue")
    gallery.confirm(photo, "thing 3")
    other = tmp_path / "other.png"
    drawn(3).rotate(1).save(other)
    gallery.confirm(other, "thing 3", variant="red")
    found = {one.path: one.variant for one in gallery.references("thing 3") if one.origin}
    assert found == {str(blue): "blue", str(photo): "blue", str(other): "red"}


def test_a_new_name_survives_the_next_run(gallery, folder, photo, drawn):
    gallery.confirm(photo, "thing 3")
    gallery.index(folder)
    item = gallery.rename("thing 3", "The Tower", new_key="tower")
    assert (item.key, item.label, item.references) == ("tower", "The Tower", 2)
    assert gallery.stale == ""  # the vectors are the same
    assert [one.key for one in gallery.feedback()] == ["tower"]
    drawn(300).save(folder / "thing 3.jpg")  # one more under the old name
    report = gallery.index(folder)
    assert (report.added, report.relabelled, report.removed, report.same) == (1, 0, 0, 6)
    assert paths(gallery, "tower") == [str(photo), "thing 3.jpg", "thing 3.png"]
    assert {one.label for one in gallery.references("tower")} == {"The Tower"}
    assert gallery.identify(photo).label == "The Tower"


def test_names_can_be_changed_again_and_back(gallery, folder):
    gallery.rename("thing 3", "Tower", new_key="tower")
    gallery.rename("tower", "Castle", new_key="castle")
    gallery.index(folder)
    assert paths(gallery, "castle") == ["thing 3.png"]
    gallery.rename("castle", "thing 3", new_key="thing 3")
    gallery.index(folder)
    (one,) = gallery.references("thing 3")
    assert (one.path, one.label, dict(one.metadata)) == ("thing 3.png", "thing 3", {})
    gallery.rename("thing 2", "Two")  # the key stays
    gallery.index(folder)
    assert [one.label for one in gallery.references("thing 2")] == ["Two"]
    assert gallery.plan(folder).lines().__iter__().__next__().startswith("0 to add")


def test_two_items_become_one_only_when_asked(gallery, folder, photo):
    gallery.confirm(photo, "thing 3")
    with pytest.raises(GalleryError, match=r"another item, 'thing 4'.*--merge"):
        gallery.rename("thing 3", new_key="thing 4")
    item = gallery.rename("thing 3", "Both", new_key="thing 4", merge=True)
    assert (item.key, item.label, item.references) == ("thing 4", "Both", 3)
    assert gallery.stale == "feedback was given since"
    report = gallery.index(folder)
    assert (report.relabelled, report.removed, report.same) == (0, 0, 6)
    assert {one.label for one in gallery.references("thing 4")} == {"Both"}
    assert len(gallery.items()) == 5


def test_names_that_are_none_are_refused(gallery):
    for words in (("", ""), ("thing 3", ""), ("", "thing 3"), (" \x00 ", " ")):
        with pytest.raises(InputError, match="no new name"):
            gallery.rename("thing 3", words[0], new_key=words[1])


def test_by_hand_follows_the_label_that_the_folder_gives(gallery, folder, photo):
    gallery.confirm(photo, "thing 3")
    (folder / "labels.csv").write_text(
        "filename,key,label\nthing 3.png,thing 3,Turm\n", encoding="utf-8"
    )
    gallery.index(folder)
    assert {one.label for one in gallery.references("thing 3")} == {"Turm"}
    assert gallery.plan(folder).relabel == []


def test_a_rename_keeps_what_belongs_to_the_reference(gallery):
    (old,) = gallery.store.select({"key": "thing 3"}).tolist()
    small, row = gallery.thumbnail(old), gallery.store.rows([old])
    gallery.store.set_features("dots", {old: b"kept"})
    gallery.rename("thing 3", "Tower")
    (new,) = gallery.store.select({"key": "thing 3"}).tolist()
    assert gallery.thumbnail(new) == small
    np.testing.assert_array_equal(gallery.store.rows([new]), row)
    assert gallery.store.features([new], "dots") == {new: b"kept"}


def test_feedback_follows_the_region_rule_while_its_photo_is_there(gallery, photo, stranger):
    gallery.confirm(photo, "thing 3")
    gallery.reject(stranger, "thing 1")
    opened = gallery._opened()
    assert [one.id for one in heard(opened).usable] == [1, 2]
    other = replace(opened, settings=replace(DUMMY, identify=IdentifySettings(regions="center")))
    found = heard(other)
    assert {one.regions for one in found.usable} == {"center"}
    assert not np.allclose(found.usable[0].rows, gallery.feedback()[0].rows)
    stranger.write_bytes(photo.read_bytes())
    found = heard(other)
    assert ([one.id for one in found.usable], [one.id for one in found.aside]) == ([1], [2])
    assert str(stranger) in found.notes()[0]
    gallery.store.remove(gallery.store.select({"key": "thing 3"}).tolist())
    assert heard(opened).usable[0].id == 2  # what is said of an item that is gone waits


def test_another_model_takes_names_and_feedback_over(drawn, gallery, folder, photo, stranger):
    second = stranger.with_name("second.png")
    drawn(4).rotate(5).save(second)
    gallery.rename("thing 3", "Tower", new_key="tower")
    gallery.confirm(photo, "tower")
    gallery.confirm(second, "thing 4")
    gallery.reject(stranger, "thing 1")
    gallery.reject(stranger, "thing 0")
    second.unlink()
    path, out = Path(gallery.store.path), folder.parent / "new.ken"
    (folder / "thing 0.png").unlink()
    other = replace(DUMMY, models=ModelSettings(name="dummy", mode="letterbox"))
    with Gallery.create(out, settings=other) as new:
        new.index(folder)
        assert new.store.manifest.fingerprint != gallery.store.manifest.fingerprint
        found = new.take_feedback(path)
        assert [(one.kind, one.key) for one in found.taken] == [
            ("confirmed", "tower"),
            ("rejected", "thing 1"),
        ]
        whys = [(one.key, why) for one, why in found.left]
        assert "photo is gone" in whys[0][1]
        assert whys[1] == ("thing 0", "no item 'thing 0' here")
        assert (found.renamed, paths(new, "tower")) == (1, [str(photo), "thing 3.png"])
        assert new.identify(photo).key == "tower"
        again = new.take_feedback(path)
        assert (again.taken, again.renamed) == ((), 0)
        with pytest.raises(SpaceMismatch):
            new.store.add_feedback(replace(found.taken[0], rows=np.eye(3, dtype=np.float32)))


def test_the_same_model_needs_no_photo(gallery, folder, photo, stranger):
    gallery.confirm(photo, "thing 3")
    gallery.reject(stranger, "thing 1")
    photo.unlink()
    stranger.unlink()
    with Gallery.create(folder.parent / "new.npz", settings=DUMMY) as new:
        new.index(folder)
        found = new.take_feedback(gallery.store.path)
        assert (len(found.taken), found.left) == (2, ())
    with Gallery.open(folder.parent / "new.npz", settings=DUMMY) as new:
        assert paths(new, "thing 3") == [str(photo), "thing 3.png"]
        for one, other in zip(new.feedback(), gallery.feedback(), strict=True):
            np.testing.assert_array_equal(one.rows, other.rows)
            assert (one.key, one.date) == (other.key, other.date)


def test_enrolled_views_come_and_go_with_the_photo(folder, photo, tmp_path):
    settings = replace(DUMMY, index=IndexSettings(views=2))
    with Gallery.create(tmp_path / "g.ken", settings=settings) as gallery:
        gallery.index(folder)
        said = gallery.confirm(photo, "thing 3")
        assert len(gallery) == 7 * 3
        gallery.rename("thing 3", "Tower", new_key="tower")
        gallery.undo_feedback(said.id)
        assert len(gallery) == 6 * 3
        assert len(gallery.references("tower")) == 1


def test_a_copy_keeps_names_and_feedback(gallery, folder, photo, tmp_path):
    gallery.rename("thing 3", "Tower", new_key="tower")
    gallery.confirm(photo, "tower")
    gallery.export(tmp_path / "copy.npz")
    with Gallery.open(tmp_path / "copy.npz", settings=DUMMY, write=True) as copy:
        assert copy.index(folder).same == 6
        assert paths(copy, "tower") == [str(photo), "thing 3.png"]
        assert [one.key for one in copy.feedback()] == ["tower"]
        copy.undo_feedback(1)
        assert paths(copy, "tower") == ["thing 3.png"]


def test_the_full_calibration_hears_what_was_said(gallery, photo, stranger, tmp_path):
    gallery.confirm(photo, "thing 3")
    gallery.reject(stranger, "thing 1")
    rule = calibrate.full(gallery._opened(), calibrate.Wanted(views=3))
    assert (rule.labelled, rule.feedback) == (1, 2)
    asked = replace(DUMMY, identify=IdentifySettings(regions="center"))
    photo.unlink()
    other = replace(gallery._opened(), settings=asked)
    rule = calibrate.full(other, calibrate.Wanted(views=3))
    assert rule.labelled == 0
    assert any("its photo is gone" in note and str(photo) in note for note in rule.notes)
