"""Logos in scenes, made: marks pasted on photographs with perspective, light and blur, with boxes.

Three tables `role,label,path,box` in one folder: `fit` and `seen` show the same half of the logos
on other photographs, `unseen` the other half. A logo's references are three drawings of its mark;
half of its scenes show one of these, half a drawing that is not enrolled (column `enrolled`). A
scene holds one logo and up to two marks made up for it alone, labelled `OTHER`; some hold only
these, or nothing. The same seed makes the same bytes with the same releases of Pillow and OpenCV.

    python -m benchmarks._logo_scenes ASSETS OUT
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME = (512, 384)
OTHER = "(other)"
"""The label of marks that no logo has."""
STYLES = ("ref", "devicon", "vscode-icons", "skill-icons", "simple-icons")
SCENES = {"fit": 3, "seen": 3, "unseen": 3}
"""Scenes of each logo in each table."""
WITHOUT = 60
"""Scenes without a logo in each table, half of them without any mark."""
REFERENCES = 3
SEED = 7

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark in a scene: its label, where it is, the drawing, and whether that is a reference."""

    label: str
    box: Box
    drawing: str = ""
    enrolled: bool = False


def make(
    assets: Path, out: Path, *, seed: int = SEED, scenes: dict[str, int] | None = None
) -> Path:
    """Make the set from the folder that holds `data/`, once: a folder that is whole is kept."""
    counts = scenes or SCENES
    made_by = hashlib.sha256(Path(__file__).read_bytes() + repr((seed, counts)).encode())
    stamp = out / "made-by.txt"
    if stamp.is_file() and stamp.read_text() == made_by.hexdigest():
        return out
    drawings = _drawings(assets / "data" / "logos" / "images")
    order = sorted(drawings, key=lambda label: _digest(seed, label))
    halves = {"fit": order[::2], "seen": order[::2], "unseen": order[1::2]}
    photos = sorted((assets / "data" / "grocery" / "images").glob("[nq]*/*/*.jpg"))
    photos.sort(key=lambda path: _digest(seed, path.name))
    for place, (table, count) in enumerate(counts.items()):
        _table(out, table, _Part(drawings, halves[table], photos[place::3], seed), count)
    stamp.write_text(made_by.hexdigest())
    return out


@dataclass(frozen=True, slots=True)
class _Part:
    """What one table is made of: the drawings of each label, its logos, its photographs."""

    drawings: dict[str, list[Path]]
    labels: Sequence[str]
    photos: Sequence[Path]
    seed: int


def _table(out: Path, table: str, part: _Part, count: int) -> None:
    """Write the references, the scenes and the table of one part."""
    rows: list[tuple[object, ...]] = []
    for label in sorted(part.labels):
        for path in part.drawings[label][:REFERENCES]:
            name = f"references/{label}/{path.parent.name}.png"
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(path.read_bytes())
            rows.append(("reference", label, name, "", path.parent.name, 1))
        for number in range(count):
            name = f"{table}/{label}-{number}.jpg"
            rng = _generator(part.seed, table, label, number)
            found = _scene(out / name, part, label, number, rng)
            rows += (_row("query", mark, name) for mark in found)
    for number in range(WITHOUT):
        name = f"{table}/none-{number}.jpg"
        _scene(out / name, part, "", number % 2, _generator(part.seed, table, "", number))
        rows.append(("unknown", "", name, "", "", ""))
    with (out / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("role", "label", "path", "box", "drawing", "enrolled"))
        writer.writerows(rows)


def _row(role: str, mark: Mark, name: str) -> tuple[object, ...]:
    return role, mark.label, name, " ".join(map(str, mark.box)), mark.drawing, int(mark.enrolled)


def _scene(
    path: Path, part: _Part, label: str, number: int, rng: np.random.Generator
) -> list[Mark]:
    """Make one scene; with a label it holds that logo, of `number` even an enrolled drawing."""
    frame = _background(part.photos[int(rng.integers(len(part.photos)))], rng)
    marks: list[Mark] = []
    if label:
        own = part.drawings[label]
        choice = own[:REFERENCES] if number % 2 == 0 else own[REFERENCES:]
        drawing = choice[int(rng.integers(len(choice)))]
        with Image.open(drawing) as image:
            box = _paste(frame, _worn(image.convert("RGB"), rng), marks, rng)
        if box is None:
            raise ValueError(f"{label}: an empty frame has no room for one mark")
        marks.append(Mark(label, box, drawing.parent.name, number % 2 == 0))
    for _ in range(int(rng.integers(0, 3)) if label else 2 * number):
        box = _paste(frame, _worn(_made_up(rng), rng), marks, rng)
        marks += [Mark(OTHER, box)] if box else []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_taken(frame, rng))
    return marks


def _background(path: Path, rng: np.random.Generator) -> Image.Image:
    """A piece of a photograph in the shape of the frame, mirrored or not."""
    with Image.open(path) as photo:
        image = photo.convert("RGB")
    width = image.width * rng.uniform(0.7, 1.0)
    height = width * FRAME[1] / FRAME[0]
    left = rng.uniform(0, image.width - width)
    top = rng.uniform(0, max(image.height - height, 0))
    box = (left, top, left + width, min(top + height, image.height))
    piece = image.resize(FRAME, Image.Resampling.BICUBIC, box=box)
    return piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else piece


def _worn(drawing: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A drawing as something in the world: cut out, or printed on a plate. Mode RGBA, trimmed."""
    wide = Image.new("RGB", (drawing.width + 8, drawing.height + 8), "white")
    wide.paste(drawing, (4, 4))
    alpha = _outside(wide).filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.6))
    cut = wide.copy()
    cut.putalpha(alpha)
    cut = cut.crop(alpha.getbbox() or (0, 0, *wide.size))
    if rng.random() < 0.5:
        return cut
    edge = round(max(cut.size) * rng.uniform(0.04, 0.15))
    size = (cut.width + 2 * edge, cut.height + 2 * edge)
    tone = tuple(int(v) for v in 255 - rng.integers(0, 40, 3))
    plate = Image.new("RGBA", size, (*tone, 255))
    plate.alpha_composite(cut, (edge, edge))
    return plate


def _outside(wide: Image.Image) -> Image.Image:
    """0 where the white of the border reaches, else 255."""
    mask = np.zeros((wide.height + 2, wide.width + 2), np.uint8)
    near, fixed_only = (24, 24, 24), 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY
    cv2.floodFill(np.array(wide), mask, (0, 0), 0, near, near, fixed_only)
    return Image.fromarray(np.where(mask[1:-1, 1:-1], 0, 255).astype(np.uint8))


def _paste(
    frame: Image.Image, mark: Image.Image, others: Sequence[Mark], rng: np.random.Generator
) -> Box | None:
    """Put a mark somewhere free and say where; None when no place was found."""
    long = FRAME[0] * math.exp(rng.uniform(math.log(0.12), math.log(0.42)))
    scale = long / max(mark.size)
    size = (max(8, round(mark.width * scale)), max(8, round(mark.height * scale)))
    turned = _tilted(mark.resize(size, Image.Resampling.LANCZOS), rng)
    found = turned.getchannel("A").point(lambda v: 255 if v > 40 else 0).getbbox()
    if found is None or turned.width >= FRAME[0] or turned.height >= FRAME[1]:
        return None
    for _ in range(30):
        x = int(rng.integers(0, FRAME[0] - turned.width))
        y = int(rng.integers(0, FRAME[1] - turned.height))
        box = (x + found[0], y + found[1], x + found[2], y + found[3])
        if not any(_meet(box, other.box) for other in others):
            piece = frame.crop((x, y, x + turned.width, y + turned.height))
            frame.paste(_lit(turned, piece, rng), (x, y), turned.getchannel("A"))
            return box
    return None


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _tilted(mark: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A mark seen from the side: pitch and yaw up to 40°, turned up to 15°, at arm's length."""
    yaw, pitch = np.radians(rng.uniform(-40, 40, 2))
    roll = np.radians(rng.uniform(-15, 15))
    width, height = mark.size
    distance = 2.5 * max(width, height)
    flat = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array([width, height]) / 2
    corners = []
    for x, y in flat:
        x, y = x * math.cos(roll) - y * math.sin(roll), x * math.sin(roll) + y * math.cos(roll)
        y, z = y * math.cos(pitch), y * math.sin(pitch)
        x, z = x * math.cos(yaw) + z * math.sin(yaw), z * math.cos(yaw) - x * math.sin(yaw)
        corners.append((x * distance / (distance + z), y * distance / (distance + z)))
    placed = np.array(corners) - np.min(corners, 0)
    size = np.ceil(placed.max(0)).astype(int) + 1
    source = flat + np.array([width, height]) / 2
    return mark.transform(
        (int(size[0]), int(size[1])),
        Image.Transform.PERSPECTIVE,
        _homography(placed, source),
        Image.Resampling.BICUBIC,
    )


def _homography(source: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, ...]:
    """The eight numbers that take four points to four others, as Pillow wants them."""
    rows, right = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        right += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(right)))


def _lit(mark: Image.Image, piece: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A mark in the light of the place it is in, one side darker than the other."""
    pixels = np.asarray(mark.convert("RGB"), np.float64)
    place = np.asarray(piece, np.float64).mean() / 255
    gain = rng.uniform(0.75, 1.05) * (0.55 + 0.6 * place)
    angle = rng.uniform(0, 2 * math.pi)
    x, y = np.linspace(-1, 1, mark.width), np.linspace(-1, 1, mark.height)[:, None]
    shade = 1 - rng.uniform(0, 0.3) * (0.5 + (x * math.cos(angle) + y * math.sin(angle)) / 2)
    return _image(pixels * gain * shade[..., None])


def _taken(frame: Image.Image, rng: np.random.Generator) -> bytes:
    """The scene as a camera takes it: cast, light, blur, noise, JPEG."""
    blurred = frame.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.8)))
    pixels = np.asarray(blurred, np.float64) * rng.uniform(0.7, 1.15) * rng.uniform(0.92, 1.08, 3)
    pixels += rng.normal(0, rng.uniform(1, 7), pixels.shape)
    file = io.BytesIO()
    _image(pixels).save(file, "JPEG", quality=int(rng.integers(55, 91)))
    return file.getvalue()


def _image(pixels: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


def _made_up(rng: np.random.Generator) -> Image.Image:
    """A mark that is nobody's: a few shapes in a few colours on white."""
    image = Image.new("RGB", (224, 224), "white")
    draw = ImageDraw.Draw(image)
    colours = [tuple(int(v) for v in rng.integers(0, 230, 3)) for _ in range(3)]
    for number in range(int(rng.integers(2, 6))):
        x0, y0 = (int(v) for v in rng.integers(16, 130, 2))
        box = (x0, y0, x0 + int(rng.integers(40, 94)), y0 + int(rng.integers(40, 94)))
        fill = colours[number % 3]
        shape = int(rng.integers(4))
        if shape == 0:
            draw.ellipse(box, fill=fill)
        elif shape == 1:
            draw.rounded_rectangle(box, radius=int(rng.integers(1, 20)), fill=fill)
        elif shape == 2:
            draw.regular_polygon(
                (box[0] + 30, box[1] + 30, 36),
                int(rng.integers(3, 8)),
                int(rng.integers(360)),
                fill,
            )
        else:
            draw.arc(box, 0, int(rng.integers(120, 360)), fill=fill, width=int(rng.integers(8, 24)))
    return image


def _drawings(folder: Path) -> dict[str, list[Path]]:
    """The drawings of each mark, in the order of `STYLES`, of those that have enough."""
    found: dict[str, list[Path]] = {}
    for style in STYLES:
        for path in sorted((folder / style).glob("*.png")):
            found.setdefault(path.stem, []).append(path)
    return {label: paths for label, paths in found.items() if len(paths) > REFERENCES}


def _digest(*words: object) -> bytes:
    return hashlib.sha256("\0".join(map(str, words)).encode()).digest()


def _generator(*words: object) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(_digest(*words)[:8], "big"))


def main(arguments: Iterable[str]) -> None:
    assets, out = map(Path, arguments)
    print(make(assets, out))


if __name__ == "__main__":
    main(sys.argv[1:])
