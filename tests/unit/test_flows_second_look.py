"""A second look inside identify: on the shortlist, from originals or the cache, told in numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prints import card

from kenspeckle import _extras
from kenspeckle.config import IdentifySettings, IndexSettings, ModelSettings, Settings
from kenspeckle.engines.features import Features
from kenspeckle.errors import MissingExtra
from kenspeckle.flows import identify as flow
from kenspeckle.flows.second_look import rule_for
from kenspeckle.gallery import Gallery
from kenspeckle.image.views import camera_views
from kenspeckle.match.second_look import USUAL

pytest.importorskip("cv2")

PRINTS = {f"{seed}-{number}": card(seed, number) for seed in range(3) for number in (41, 17)}


def asking(second_look: str = "", **more: int) -> Settings:
    return Settings(
        models=ModelSettings(name="dummy"),
        index=IndexSettings(calibrate=False),
        identify=IdentifySettings(second_look=second_look, **more),
    )


@pytest.fixture
def gallery(tmp_path):
    """Prints that a model of mere colours can hardly tell apart."""
    references = tmp_path / "prints"
    references.mkdir()
    for name, image in PRINTS.items():
        image.save(references / f"{name}.png")
    with Gallery.create(tmp_path / "gallery.ken", settings=asking()) as made:
        made.index(references)
    return tmp_path / "gallery.ken"


def answers(path, settings, **photos):
    with Gallery.open(path, settings=settings) as opened:
        return {name: opened.identify(photo) for name, photo in photos.items()}


@pytest.mark.parametrize("turn", [0, 180])
def test_look_alikes_are_named_rightly_even_upside_down(gallery, turn):
    photos = {n: camera_views(p, 1, 40)[0].rotate(turn) for n, p in PRINTS.items()}
    with Gallery.open(gallery, settings=asking("sift")) as opened:
        named = {name: opened.identify(photo).key for name, photo in photos.items()}
    assert named == {name: name for name in PRINTS}


def test_evidence_and_a_sentence_come_with_the_answer(gallery):
    photo = camera_views(PRINTS["1-17"], 1, 3)[0]
    answer = answers(gallery, asking("sift"), it=photo)["it"]
    plain = answers(gallery, asking(), it=photo)["it"]
    assert answer.key == "1-17"
    geometry, layout = answer.evidence
    assert geometry.verdict == layout.verdict == "agrees"
    assert geometry.numbers["inliers"] > 10
    assert answer.reasons[-1].startswith(f"second look: {geometry.numbers['inliers']:.0f} features")
    assert answer.score > answer.similarity, "the score is raised, the cosine told as it was"
    cosines = {one.key: one.similarity for one in plain.candidates}
    assert answer.similarity == pytest.approx(cosines["1-17"], abs=1e-6)
    assert not plain.evidence


def test_items_outside_of_the_shortlist_never_come_in(gallery):
    photo = camera_views(PRINTS["1-17"], 1, 3)[0]
    plain = answers(gallery, asking(), it=photo)["it"]
    one = answers(gallery, asking("sift", shortlist=1), it=photo)["it"]
    assert one.key == plain.key


def test_without_a_second_look_nothing_of_it_runs(gallery, monkeypatch):
    def never(*_):
        raise AssertionError("a second look was taken")

    monkeypatch.setattr(flow, "look", never)
    for setting in ("", "off"):
        assert answers(gallery, asking(setting), it=PRINTS["0-41"])["it"].known


def test_features_are_kept_in_an_index_that_may_be_written(gallery):
    with Gallery.open(gallery, settings=asking("orb"), write=True) as opened:
        change = opened.store.standing().change
        opened.identify(PRINTS["0-41"])
        kept = opened.store.features(opened.store.ids().tolist(), "orb")
        assert opened.store.standing().change == change
    assert kept
    assert {Features.from_bytes(data).kind for data in kept.values()} == {"orb"}


def test_kept_features_stand_in_for_originals_that_have_moved(gallery):
    photo = camera_views(PRINTS["2-41"], 1, 9)[0]
    with Gallery.open(gallery, settings=asking("sift"), write=True) as opened:
        first = opened.identify(photo)
    for file in (gallery.parent / "prints").iterdir():
        file.unlink()
    again = answers(gallery, asking("sift"), it=photo)["it"]
    assert (again.key, again.reasons) == (first.key, first.reasons)


@pytest.mark.parametrize("lost", ["gone", "changed", "no picture"])
def test_a_lost_original_abstains(gallery, lost):
    for file in (gallery.parent / "prints").iterdir():
        if lost == "gone":
            file.unlink()
        elif lost == "changed":
            card(99).save(file)
        else:
            file.write_bytes(b"nothing to see")
    photo = camera_views(PRINTS["2-41"], 1, 9)[0]
    both = [answers(gallery, asking(setting), it=photo)["it"] for setting in ("", "sift")]
    assert both[0].key == both[1].key
    assert both[0].score == both[1].score
    assert [one.verdict for one in both[1].evidence] == ["abstains"]
    assert "nothing to compare" in both[1].reasons[-1]


def test_a_missing_extra_is_one_sentence(gallery, monkeypatch):
    def missing(name):
        raise ImportError(name=name)

    with Gallery.open(gallery, settings=asking("sift")) as opened:
        monkeypatch.setattr(_extras.importlib, "import_module", missing)
        with pytest.raises(MissingExtra, match=r"kenspeckle\[geometry\]"):
            opened.identify(PRINTS["0-41"])


def test_the_setting_goes_before_the_calibration():
    assert rule_for(None, "") is None
    assert rule_for(None, "off") is None
    assert rule_for(None, "orb") == replace(USUAL, features="orb")
    assert rule_for(None, "sift", 5) == replace(USUAL, shortlist=5)
