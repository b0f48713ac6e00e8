"""What the Python API keeps, on pictures drawn in code and the dummy model."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kenspeckle import Gallery
from kenspeckle.config import IdentifySettings, IndexSettings, ModelSettings, Settings
from kenspeckle.errors import GalleryError, InputError, ModelError, SpaceMismatch
from kenspeckle.store.open import open_store
from kenspeckle.vectors.embed import open_embedder

DUMMY = Settings(models=ModelSettings(name="dummy"))


@pytest.fixture
def folder(drawn, tmp_path) -> Path:
    return pictures(drawn, tmp_path / "things", range(8))


def pictures(drawn, folder: Path, seeds: range) -> Path:
    folder.mkdir()
    for place, seed in enumerate(seeds):
        drawn(seed).save(folder / f"thing {place}.png")
    return folder


def made(path: Path, folder: Path, settings: Settings = DUMMY) -> Gallery:
    gallery = Gallery.create(path, settings=settings)
    gallery.index(folder)
    return gallery


def test_look_alikes_are_named_on_the_first_run(folder, tmp_path):
    from PIL import Image

    first = sorted(folder.iterdir())[0]
    with Image.open(first) as image:
        image.convert("RGB").save(folder / "copy.png", compress_level=1)
    with Gallery.create(tmp_path / "g.ken", settings=DUMMY) as gallery:
        report = gallery.index(folder)
    assert any({"copy.png", first.name} == {p.a.path, p.b.path} for p in report.look_alikes)


def test_another_folder_with_the_same_names_is_refused(drawn, folder, tmp_path):
    other = pictures(drawn, tmp_path / "others", range(50, 58))
    with made(tmp_path / "g.ken", folder) as gallery:
        before = [one.sha256 for one in gallery.references()]
        with pytest.raises(GalleryError, match="--replace"):
            gallery.index(other)
        assert [one.sha256 for one in gallery.references()] == before
        assert gallery.index(other, replace_all=True).changed == 8


def test_another_rate_makes_the_rule_stale_and_index_fits_it_anew(folder, tmp_path):
    with made(tmp_path / "g.ken", folder) as gallery:
        assert gallery.calibration.fpir == 0.05
        assert gallery.stale == ""
    asked = replace(DUMMY, identify=IdentifySettings(fpir=0.3))
    with Gallery.open(tmp_path / "g.ken", settings=asked, write=True) as gallery:
        assert "FPIR 0.05, asked is 0.3" in gallery.stale
        gallery.index(folder)
        assert (gallery.calibration.fpir, gallery.stale) == (0.3, "")
    with Gallery.open(tmp_path / "g.ken", settings=DUMMY) as gallery:
        assert gallery.stale == ""


def test_another_number_of_views_is_refused(folder, tmp_path):
    views = replace(DUMMY, index=IndexSettings(views=2))
    with made(tmp_path / "g.ken", folder, views) as gallery:
        assert len(gallery) == 3 * 8
        assert len(gallery.references()) == 8
    with Gallery.open(tmp_path / "g.ken", settings=DUMMY, write=True) as gallery:
        assert gallery.index(folder).same == 8
    with pytest.raises(GalleryError, match="2 views a reference, asked are 3"):
        Gallery.open(tmp_path / "g.ken", settings=replace(DUMMY, index=IndexSettings(views=3)))


def test_one_item_has_one_label(folder, tmp_path):
    with made(tmp_path / "g.ken", folder) as gallery:
        first, second, *_ = sorted(folder.iterdir())
        gallery.add(first, label="Odd Thing")
        gallery.add(second.read_bytes(), label="odd thing")
        labels = {one.label for one in gallery.references("odd thing")}
    assert labels == {"Odd Thing"}


def test_many_threads_load_one_model(folder, tmp_path):
    made(tmp_path / "g.ken", folder).close()
    loaded = []

    def opener(models):
        loaded.append(models)
        return open_embedder(models)

    photo = sorted(folder.iterdir())[0]
    with Gallery(open_store(tmp_path / "g.ken"), DUMMY, opener) as gallery:
        threads = [threading.Thread(target=gallery.identify, args=(photo,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(loaded) == 1


def test_a_model_that_fails_is_told_and_not_calibrated_around(folder, tmp_path, monkeypatch):
    from kenspeckle.engines.dummy import DummyModel

    with made(tmp_path / "g.ken", folder) as gallery:

        def broken(*_):
            raise ModelError("dummy", "broken")

        monkeypatch.setattr(DummyModel, "run", broken)
        with pytest.raises(ModelError, match="broken"):
            gallery.calibrate(5)


def test_another_model_is_refused_and_both_are_named(folder, tmp_path):
    made(tmp_path / "g.ken", folder).close()
    other = Settings(models=ModelSettings(name="default"))
    with (
        Gallery.open(tmp_path / "g.ken", settings=other) as gallery,
        pytest.raises(SpaceMismatch, match=r"made by dummy .* asked was efflite0-288"),
    ):
        gallery.identify(sorted(folder.iterdir())[0])


def test_exports_answer_alike(folder, tmp_path):
    photo = sorted(folder.iterdir())[2]
    with made(tmp_path / "g.ken", folder) as gallery:
        assert gallery.export(tmp_path / "g.npz") == 8
        answer = gallery.identify(photo)
    with Gallery.open(tmp_path / "g.npz", settings=DUMMY) as gallery:
        again = gallery.identify(photo)
    assert (again.key, again.known) == (answer.key, answer.known)
    assert again.score == pytest.approx(answer.score, abs=1e-5)


def test_pixels_of_any_kind_are_asked_about(folder, tmp_path):
    import numpy as np
    from PIL import Image

    photo = sorted(folder.iterdir())[1]
    with made(tmp_path / "g.ken", folder) as gallery, Image.open(photo) as image:
        image.load()
        answers = [
            gallery.identify(source)
            for source in (photo, photo.read_bytes(), image, np.asarray(image))
        ]
        assert len({(one.candidates[0].key, round(one.similarity, 5)) for one in answers}) == 1
        for wrong in (None, 5, np.zeros((3, 4)), np.zeros((0, 4, 3), np.uint8)):
            with pytest.raises(InputError, match="picture"):
                gallery.identify(wrong)


def test_a_gallery_is_made_once_and_opened_after(folder, tmp_path):
    for _ in range(2):
        with Gallery.create(tmp_path / "g.ken", settings=DUMMY, exist_ok=True) as gallery:
            gallery.index(folder)
            assert len(gallery) == 8
    with pytest.raises(GalleryError, match="it exists"):
        Gallery.create(tmp_path / "g.ken", settings=DUMMY)


def test_a_copy_under_another_name_costs_the_others_nothing(folder, tmp_path):
    """Re-saved a little smaller: the two cannot be told apart, all others as well as before."""
    from PIL import Image

    with made(tmp_path / "g.ken", folder) as gallery:
        before = gallery.calibration
    with Image.open(sorted(folder.iterdir())[0]) as image:
        image.convert("RGB").resize((200, 200)).save(folder / "zz.jpg", quality=90)
    with Gallery.open(tmp_path / "g.ken", settings=DUMMY, write=True) as gallery:
        report = gallery.index(folder)
    assert report.look_alikes
    assert any("2 items look like another one" in note for note in report.calibration.notes)
    assert report.calibration.threshold <= 1.5 * before.threshold


def test_renaming_keeps_every_vector_and_view(folder, tmp_path, monkeypatch):
    from kenspeckle.flows import index

    monkeypatch.setattr(index, "COMMIT_ROWS", 4)  # a batch must not part a picture from its views
    views = replace(DUMMY, index=IndexSettings(views=2))
    with made(tmp_path / "g.ken", folder, views) as gallery:
        before = {one.sha256 for one in gallery.references()}
        (folder / "labels.csv").write_text(
            "filename,label\n"
            + "".join(f"{path.name},New {path.stem}\n" for path in sorted(folder.glob("*.png"))[:5])
        )
        sorted(folder.glob("*.png"))[6].rename(folder / "moved.png")
        report = gallery.index(folder)
        assert (report.relabelled, report.added, report.removed) == (6, 0, 0)
        assert {one.sha256 for one in gallery.references()} == before
        assert len(gallery) == 3 * 8
        assert sum(one.label.startswith("New ") for one in gallery.references()) == 5
        assert gallery.plan(folder).add == []
