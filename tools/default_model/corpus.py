"""Pictures for the whitening, the int8 calibration and the cohort, from permissive sources only.

Every group (one emoji, one mark, one photo) goes to exactly one of three parts: train, calibration,
cohort.
Files: OUT/<part>/<kind>/<group>/<view>.jpg; pictures of one group count as views of one thing.
"""

import argparse
import csv
import glob
import hashlib
import json
import os
import random
import re
import unicodedata
from multiprocessing import Pool
from pathlib import Path

from drawing import degrade, on_ground, place, render
from PIL import Image, ImageSequence

EMOJI = ("noto", "twemoji", "fluent-emoji", "fluent-emoji-flat")
LOGOS = (
    "logos",
    "devicon",
    "skill-icons",
    "simple-icons",
)  # not vscode-icons: its artwork is CC-BY-SA
FREE = (None, "CC0-1.0", "MIT", "Apache-2.0", "BSD-3-Clause", "Unlicense")
CLOTHES = (
    "dress",
    "outwear",
    "pants",
    "shoes",
    "shorts",
    "skirt",
)  # hats and shirts are evaluation classes
CLIPS = (
    "bolt-multi-size-detection",
    "classroom",
    "people-detection",
    "person-bicycle-car-detection",
    "store-aisle-detection",
    "worker-zone-detection",
)  # none of the clips of the evaluation data
GROUND = (
    (255, 255, 255),
    (235, 242, 250),
    (250, 240, 225),
    (40, 42, 54),
    (225, 245, 228),
    (252, 228, 236),
)
NOT_EMOJI = (
    r"skin-tone|keycap|clock|thirty|flag|sign|traffic|prohibited|construction|crossing|arrow|^no-|stop"
    r"|coin|money"
)
# names that mean an evaluation class in other words; left out after the groups are dealt out
SAME = {
    "x",
    "elmclassic",
    "microsoftazure",
    "gopher",
    "jack-o-lantern",
    "tangerine",
    "pear",
    "carrot",
    "top-hat",
    "headstone",
    "hibiscus",
    "boar",
    "wastebasket",
    *(f"{w}astronaut" for w in ("", "man-", "woman-")),
    *(f"{w}firefighter" for w in ("", "man-", "woman-")),
}
# groups a kind gives to (train, calibration, cohort)
SHARES = {
    "emoji": (600, 60, 350),
    "logos": (800, 60, 700),
    "clothing": (900, 60, 900),
    "trash": (900, 60, 900),
    "grocery": (1000, 0, 0),
}


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def plain(name):
    """A mark's name without what tells its drawings apart."""
    return re.sub(r"-(icon|original|plain|dark|light|logo)\b", "", name).replace("-", "")


def unfree(folder):
    """Marks under a licence that is not permissive, by simple-icons; left out everywhere."""
    with open(glob.glob(f"{folder}/simple-icons-[0-9]*/data/simple-icons.json")[0]) as f:
        for mark in json.load(f):
            if mark.get("license", {}).get("type") not in FREE:
                for title in (mark["title"], mark.get("slug", "")):
                    title = title.lower().replace("+", "plus").replace("&", "and")
                    title = unicodedata.normalize("NFD", title)
                    yield re.sub(r"[^a-z0-9]", "", title.replace(".", "dot"))
                    yield re.sub(r"[^a-z0-9]", "", title)


def emoji_groups(sets, taken):
    used = [set(t.split("-")) for t in taken["emoji-styles"]]
    words = {
        w
        for s in ("stamps", "grocery")
        for t in taken[s]
        for w in re.split(r"[\W_\d]+", t.split(".")[-1].lower())
        if len(w) > 2
    }
    for name in set.intersection(*(set(s["icons"]) for s in sets.values())):
        parts = set(name.split("-"))
        if (
            not re.search(NOT_EMOJI, name)
            and not parts & words
            and not any(u <= parts or parts <= u for u in used)
        ):
            yield name, [(k, name) for k in EMOJI]


def logo_groups(sets, taken, unfree):
    used = {plain(t) for t in taken["logos"]} | {u for u in unfree if u}

    def known(x):
        return x in used or any(
            min(len(x), len(u)) > 3 and (x.startswith(u) or u.startswith(x)) for u in used
        )

    groups = {}
    for k, icons in sets.items():
        for name in icons["icons"]:
            if not re.search(r"wordmark|line|folder|flag", name) and not known(plain(name)):
                groups.setdefault(plain(name), {}).setdefault(k, name)
    for name, drawn in groups.items():
        if "logos" in drawn or len(drawn) > 1:
            yield name, sorted(drawn.items())


def save(im, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    im.convert("RGB").save(path, quality=87)


def draw(job):
    """Write the pictures of one group: its drawings or its photo, and its made views."""
    kind, name, source, out, views = job
    rng = random.Random(f"{kind}/{name}")
    if kind in ("emoji", "logos"):
        cuts = [(k, render(ICONS[k], n, 200)) for k, n in source]
        cuts = [(k, c) for k, c in cuts if c is not None]
        if not cuts:
            return
        for k, c in cuts:
            save(
                on_ground(c, GROUND[int(digest(k + name)[:4], 16) % len(GROUND)], 200),
                f"{out}/{k}.jpg",
            )
        cuts = [c for _, c in cuts]
    else:
        photo = Image.open(source).convert("RGBA")
        photo.thumbnail((400, 400), Image.LANCZOS)
        save(photo, f"{out}/photo.jpg")
        cuts = None
    for i in range(views):
        strong = cuts is None or i % 2 == 1
        if cuts is None:  # a part of the photo
            w = int(min(photo.size) * rng.uniform(0.5, 0.95))
            x, y = rng.randint(0, photo.width - w), rng.randint(0, photo.height - w)
            obj, frac = photo.crop((x, y, x + w, y + w)), rng.uniform(0.7, 0.95)
        else:
            obj, frac = cuts[0], rng.uniform(0.45, 0.85)
        save(
            degrade(place(obj, rng.choice(GROUNDS), rng, 256, frac, strong), rng, strong),
            f"{out}/v{i}.jpg",
        )


def grounds(folder, every=6):
    for clip in CLIPS:
        for i, frame in enumerate(
            ImageSequence.Iterator(Image.open(f"{folder}/preview/{clip}.gif"))
        ):
            if i % every == 0:
                yield frame.convert("RGB").resize((400, 340))


def photos(pattern, without=()):
    paths = sorted(glob.glob(pattern, recursive=True))
    return {os.path.basename(p)[:-4]: p for p in paths if os.path.basename(p) not in without}


def order(kind, name):
    """Order in which groups are dealt out.

    TrashNet has several photos of one thing in a row: keep runs together.
    """
    run = re.sub(r"\d+", lambda m: str(int(m[0]) // 25), name) if kind == "trash" else name
    return digest(run), name


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument(
        "--icons",
        required=True,
        help="folder of the unpacked packages that icons.sh fetched",
    )
    ap.add_argument(
        "--clothing", required=True, help="checkout of alexeygrigorev/clothing-dataset-small"
    )
    ap.add_argument("--videos", required=True, help="checkout of intel-iot-devkit/sample-videos")
    ap.add_argument(
        "--grocery",
        help="checkout of marcusklasson/GroceryStoreDataset; without it, a model that never saw it",
    )
    ap.add_argument(
        "--trash",
        required=True,
        help="folder of the resized TrashNet pictures (<class>/<class><n>.jpg)",
    )
    ap.add_argument(
        "--evaluation",
        required=True,
        help="folder of the evaluation sets; their classes are left out",
    )
    ap.add_argument("--views", type=int, default=2)
    ap.add_argument("--kinds", nargs="*", default=list(SHARES), choices=list(SHARES))
    ap.add_argument("--out", required=True)
    a = ap.parse_args()

    taken = {}
    for s in ("grocery", "stamps", "logos", "emoji-styles"):
        with open(f"{a.evaluation}/{s}/split-closed.csv") as f:
            taken[s] = {r["label"] for r in csv.DictReader(f)}
    with open(f"{a.evaluation}/grocery/natural-refs.csv") as f:
        references = {os.path.basename(r["path"]) for r in csv.DictReader(f)}
    ICONS = {
        k: json.loads(
            Path(glob.glob(f"{a.icons}/iconify-json-{k}-[0-9]*/icons.json")[0]).read_text()
        )
        for k in EMOJI + LOGOS
    }
    GROUNDS = list(grounds(a.videos))

    found = {
        "emoji": dict(emoji_groups({k: ICONS[k] for k in EMOJI}, taken)),
        "logos": dict(logo_groups({k: ICONS[k] for k in LOGOS}, taken, set(unfree(a.icons)))),
        "clothing": {k: v for c in CLOTHES for k, v in photos(f"{a.clothing}/*/{c}/*.jpg").items()},
        "trash": photos(f"{a.trash}/*/*.jpg"),
        "grocery": photos(f"{a.grocery}/dataset/train/**/*.jpg", references) if a.grocery else {},
    }
    jobs = []
    for kind in a.kinds:
        groups = found[kind]
        names = sorted(groups, key=lambda n: order(kind, n))
        print(kind, len(names), "groups found", flush=True)
        for part, n in zip(("train", "calibration", "cohort"), SHARES[kind], strict=True):
            views = 1 if part == "cohort" else a.views
            jobs += [
                (kind, name, groups[name], f"{a.out}/{part}/{kind}/{name}", views)
                for name in names[:n]
                if name not in SAME
            ]
            names = names[n:]
    with Pool() as pool:
        pool.map(draw, jobs, chunksize=8)
