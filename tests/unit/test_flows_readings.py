"""Codes and text inside identify: an equal code names, a different one refuses, text tells."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from printed import ean13, packet, qr

from kenspeckle.config import IdentifySettings, IndexSettings, ModelSettings, Settings
from kenspeckle.engines import codes
from kenspeckle.flows import readings
from kenspeckle.gallery import Gallery

pytestmark = pytest.mark.slow

pytest.importorskip("cv2")

TEA, OATS, SOAP = "4006381333931", "5901234123457", "8711253001202"
PACKETS = {
    "tea": packet(ean13(TEA), text="GREEN LEAF TEA"),
    "oats": packet(ean13(OATS), text="ROLLED OATS"),
    "soap": packet(ean13(SOAP), text="HAND SOAP", ground=(60, 90, 160)),
    "plain": packet(text="PLAIN BOX", ground=(60, 160, 90)),
}


def asking(*evidence: str, **more: object) -> Settings:
    return Settings(
        models=ModelSettings(name="dummy"),
        index=IndexSettings(calibrate=False),
        identify=IdentifySettings(evidence=evidence, **more),
    )


@pytest.fixture
def gallery(tmp_path):
    references = tmp_path / "packets"
    references.mkdir()
    for name, image in PACKETS.items():
        image.save(references / f"{name}.png")
    with Gallery.create(tmp_path / "gallery.ken", settings=asking()) as made:
        made.index(references)
    return tmp_path / "gallery.ken"


def answer(path, photo, settings, write=False):
    with Gallery.open(path, settings=settings, write=write) as opened:
        return opened.identify(photo)


BLUE_TEA = packet(ean13(TEA), text="GREEN LEAF TEA", ground=(60, 90, 160))
"""Looks like the soap; its code says tea."""


def test_an_equal_code_names_its_item(gallery):
    plain, coded = (answer(gallery, BLUE_TEA, asking(*kinds)) for kinds in ((), ("codes",)))
    assert plain.key == "soap"
    assert (coded.known, coded.key, coded.label) == (True, "tea", "tea")
    assert coded.candidates[0].key == "tea"
    assert [one.key for one in coded.candidates].count("tea") == 1
    assert coded.similarity == coded.candidates[0].similarity < plain.similarity
    assert coded.margin < 0
    assert coded.confidence is None
    assert [(one.kind, one.verdict) for one in coded.evidence] == [("code", "agrees")]
    assert coded.reasons[0] == f"the photo and tea show the same code (EAN-13 {TEA}): it decides"
    assert coded.reasons[1:] == plain.reasons
    assert not plain.evidence


def test_a_different_code_of_the_best_candidate_makes_it_unknown(gallery):
    photo = packet(ean13("9780201379624"), text="HAND SOAP", ground=(60, 90, 160))
    assert answer(gallery, photo, asking()).key == "soap"
    coded = answer(gallery, photo, asking("codes"))
    assert (coded.known, coded.key, coded.label, coded.confidence) == (False, "", "", None)
    assert coded.candidates[0].key == "soap"
    assert coded.evidence[0].verdict == "disagrees"
    assert coded.reasons[0].startswith("the photo shows EAN-13 9780201379624, soap another code")


def test_two_things_in_one_photo_decide_nothing(gallery):
    photo = packet(ean13(TEA), ean13(OATS), size=(800, 480))
    plain, coded = (answer(gallery, photo, asking(*kinds)) for kinds in ((), ("codes",)))
    assert (coded.known, coded.key, coded.candidates) == (plain.known, plain.key, plain.candidates)
    assert coded.evidence[0].verdict == "abstains"
    assert "2 of the nearest items" in coded.reasons[-1]


@pytest.mark.parametrize("name", ["tea", "plain"])
def test_a_photo_without_a_code_is_answered_as_ever(gallery, name):
    photo = PACKETS[name].crop((0, 0, 640, 330))
    plain, coded = (answer(gallery, photo, asking(*kinds)) for kinds in ((), ("codes",)))
    assert replace(coded, evidence=(), reasons=plain.reasons) == plain
    assert coded.evidence[0].verdict == "abstains"
    assert coded.reasons == (*plain.reasons, "no code was read")


def test_a_best_candidate_without_a_code_stands(gallery):
    photo = packet(qr("https://a.example"), text="PLAIN BOX", ground=(60, 160, 90))
    coded = answer(gallery, photo, asking("codes"))
    assert (coded.known, coded.key) == (True, "plain")
    assert coded.evidence[0].verdict == "abstains"


def test_items_outside_of_the_shortlist_never_come_in(gallery):
    coded = answer(gallery, BLUE_TEA, asking("codes", shortlist=1))
    assert coded.candidates[0].key == "soap"
    assert not coded.known, "the soap's own code is a different one"


def test_codes_come_after_a_second_look(gallery):
    coded = answer(gallery, BLUE_TEA, asking("codes", second_look="sift"))
    assert coded.key == "tea"
    assert [one.kind for one in coded.evidence][-1] == "code"


def test_codes_of_references_are_kept_and_checked(gallery, monkeypatch):
    answer(gallery, BLUE_TEA, asking("codes"), write=True)
    with Gallery.open(gallery, settings=asking("codes"), write=True) as opened:
        kept = opened.store.features(opened.store.ids().tolist(), "codes")
        assert {code for data in kept.values() for code in codes.from_bytes(data)} == {
            ("ean13", digits) for digits in (TEA, OATS, SOAP)
        }
        opened.store.set_features("codes", dict.fromkeys(kept, json.dumps([1]).encode()))
    assert answer(gallery, BLUE_TEA, asking("codes"), write=True).key == "tea", "read anew"
    for file in (gallery.parent / "packets").iterdir():
        file.unlink()
    assert answer(gallery, BLUE_TEA, asking("codes")).key == "tea", "kept"


def test_without_the_setting_nothing_is_read(gallery, monkeypatch):
    def never(*_):
        raise AssertionError("something was read")

    monkeypatch.setattr(readings.codes, "read", never)
    monkeypatch.setattr(readings.ocr, "read", never)
    assert answer(gallery, BLUE_TEA, asking()).key == "soap"


def calibrated(path, view_level):
    """The gallery with a rule that names everything and knows how alike look-alikes are."""
    with Gallery.open(path, settings=asking(), write=True) as opened:
        rule = replace(opened.calibrate(seconds=2.0), view_level=view_level, threshold=-9.0)
        opened.store.set_calibration(rule)


@pytest.fixture
def look_alikes(tmp_path):
    """Two packets that differ in what is printed on them alone."""
    pytest.importorskip("rapidocr")
    references = tmp_path / "packets"
    references.mkdir()
    for name in ("VANILLA", "CHERRY"):
        packet(text=f"ACME YOGURT\n{name} 150 g").save(references / f"{name.lower()}.png")
    PACKETS["soap"].save(references / "soap.png")
    with Gallery.create(tmp_path / "gallery.ken", settings=asking()) as made:
        made.index(references)
    return tmp_path / "gallery.ken"


PHOTO = packet(text="ACME YOGURT\n\n\n     VANILLA 150 g")


def test_text_tells_which_of_look_alikes_it_is(look_alikes):
    calibrated(look_alikes, view_level=0.5)
    other = packet(text="ACME YOGURT\n\n\n     CHERRY 150 g")
    for name, photo in (("vanilla", PHOTO), ("cherry", other)):
        plain, told = (answer(look_alikes, photo, asking(*kinds)) for kinds in ((), ("text",)))
        assert plain.margin < 0.001, "pictures alone cannot tell"
        assert (told.known, told.key, told.label) == (True, name, name)
        assert (told.score, told.reasons[:-1]) == (plain.score, plain.reasons)
        assert [(one.kind, one.verdict) for one in told.evidence] == [("text", "agrees")]
        if plain.key == name:
            assert (told.confidence, told.reasons[-1]) == (
                plain.confidence,
                f"the text fits {name}",
            )
        else:
            assert told.confidence is None
            assert told.reasons[-1] == f"of look-alikes, the text fits {name}, not {plain.key}"
    assert answer(look_alikes, PHOTO, asking()).key == answer(look_alikes, other, asking()).key


def test_text_orders_unknowns_and_names_none(look_alikes):
    calibrated(look_alikes, view_level=0.5)
    with Gallery.open(look_alikes, settings=asking(), write=True) as opened:
        rule = replace(opened.store.calibration(), threshold=9.0)
        opened.store.set_calibration(rule)
    for name in ("VANILLA", "CHERRY"):
        photo = packet(text=f"ACME YOGURT\n\n\n     {name} 150 g")
        told = answer(look_alikes, photo, asking("text"))
        assert (told.known, told.key, told.candidates[0].key) == (False, "", name.lower())


def test_what_is_farther_than_look_alikes_stays_behind(look_alikes):
    calibrated(look_alikes, view_level=0.99999)
    keys = {
        answer(look_alikes, packet(text=f"ACME YOGURT\n\n\n     {name} 150 g"), asking("text")).key
        for name in ("VANILLA", "CHERRY")
    }
    assert len(keys) == 1


def test_text_alone_never_turns_an_answer_over(look_alikes):
    for photo in (PHOTO, packet(text="MOTOR OIL SAE 40")):
        plain, told = (answer(look_alikes, photo, asking(*kinds)) for kinds in ((), ("text",)))
        assert replace(told, evidence=(), reasons=plain.reasons) == plain
        assert told.evidence[0].kind == "text"


def test_a_photo_without_text_abstains(look_alikes):
    told = answer(look_alikes, packet(), asking("codes", "text"))
    assert [(one.kind, one.verdict) for one in told.evidence] == [
        ("code", "abstains"),
        ("text", "abstains"),
    ]
    assert told.reasons[-1] == "too little text was read to compare"
