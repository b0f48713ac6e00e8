"""Drawings of icons, and made views: warped, on a background, degraded."""

import io

import cv2
import numpy as np
import resvg_py
from PIL import Image, ImageFilter

cv2.setNumThreads(1)


def degrade(im, rng, strong):
    """Change contrast, colour and sharpness, add noise, compress."""
    a = np.asarray(im, np.float32)
    a = (a - 128) * rng.uniform(0.6, 1.3) + 128 + rng.uniform(-45, 35)
    a *= np.float32([rng.uniform(0.85, 1.15), 1, rng.uniform(0.85, 1.15)])
    im = Image.fromarray(a.clip(0, 255).astype(np.uint8))
    kind = rng.random()
    if kind < 0.35:
        im = im.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 2.2 if strong else 1.4)))
    elif kind < 0.6:
        n = rng.choice([5, 7, 9])
        ker = np.zeros((n, n), np.float32)
        cv2.line(ker, (0, rng.randrange(n)), (n - 1, rng.randrange(n)), 1, 1)
        im = Image.fromarray(cv2.filter2D(np.asarray(im), -1, ker / ker.sum()))
    if rng.random() < 0.5:
        a = np.asarray(im, np.float32)
        a = a + np.random.RandomState(rng.randrange(1 << 30)).normal(0, rng.uniform(4, 14), a.shape)
        im = Image.fromarray(a.clip(0, 255).astype(np.uint8))
    packed = io.BytesIO()
    im.save(packed, "JPEG", quality=rng.randint(35, 80))
    return Image.open(packed).convert("RGB")


def place(obj, ground, rng, side, frac, strong):
    """Paste an RGBA cut-out on a photo under a random perspective, perhaps partly hidden."""
    if rng.random() < 0.5:
        ground = ground.crop((40, 40, 300, 300))
    ground = ground.resize((side, side), Image.BICUBIC).filter(
        ImageFilter.GaussianBlur(rng.uniform(0, 1.5))
    )
    s = side * frac / max(obj.size)
    obj = obj.resize((max(2, round(obj.width * s)), max(2, round(obj.height * s))), Image.LANCZOS)
    w, h = obj.size
    j, turn = (0.16, 35) if strong else (0.10, 18)
    src = np.float32([[0, 0], [w, 0], [w, h], [0, h]])
    dst = src + np.float32([[rng.uniform(-j, j) * w, rng.uniform(-j, j) * h] for _ in range(4)])
    t = np.deg2rad(rng.uniform(-turn, turn))
    dst = (dst - dst.mean(0)) @ np.float32([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
    dst *= min(1, (side - 4) / (dst.max(0) - dst.min(0)).max())
    lo, hi = -dst.min(0) + 2, side - dst.max(0) - 2
    dst = np.float32(dst + [rng.uniform(lo[i], max(lo[i], hi[i])) for i in (0, 1)])
    warp = cv2.warpPerspective(
        np.asarray(obj), cv2.getPerspectiveTransform(src, dst), (side, side), flags=cv2.INTER_AREA
    )
    alpha = warp[..., 3:].astype(np.float32) / 255
    im = np.asarray(ground, np.float32) * (1 - alpha) + warp[..., :3] * alpha
    ys, xs = np.where(alpha[..., 0] > 0.3)
    if len(xs) >= 50 and strong and rng.random() < 0.6:
        x0, x1, y0, y1 = xs.min(), xs.max() + 1, ys.min(), ys.max() + 1
        ow, oh = int((x1 - x0) * rng.uniform(0.2, 0.4)), int((y1 - y0) * rng.uniform(0.2, 0.4))
        ox, oy = rng.randint(x0, max(x0, x1 - ow)), rng.randint(y0, max(y0, y1 - oh))
        im[oy : oy + oh, ox : ox + ow] = np.asarray(ground.rotate(180), np.float32)[
            oy : oy + oh, ox : ox + ow
        ]
    return Image.fromarray(im.clip(0, 255).astype(np.uint8))


def render(icons, name, side):
    """One icon of an iconify collection as an RGBA cut-out, or None if it has no ink."""
    icon = icons["icons"][name]
    w, h = (icon.get(k, icons.get(k, 16)) for k in ("width", "height"))
    body = icon["body"].replace("currentColor", "#222222")
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{w}" height="{h}" '
        f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {w} {h}">{body}</svg>'
    )
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=svg,
            skip_system_fonts=True,
            **({"width": side} if w >= h else {"height": side}),
        )
    except ValueError:
        return None
    im = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    box = im.getchannel("A").getbbox()
    return im.crop(box) if box else None


def on_ground(im, colour, side, fill=0.86):
    s = side * fill / max(im.size)
    im = im.resize((max(1, round(im.width * s)), max(1, round(im.height * s))), Image.LANCZOS)
    out = Image.new("RGB", (side, side), colour)
    out.paste(im, ((side - im.width) // 2, (side - im.height) // 2), im)
    return out
