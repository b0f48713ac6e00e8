"""The table of settings: a section per room, a row per setting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RATE = "a rate above 0 and below 1, such as 0.05 for 5 %"
USUAL_FPIR = 0.05
"""Aimed at where nobody asks; why, is in docs/decisions/usual-fpir.md."""
MODES = (
    *("default", "letterbox", "stretch"),
    *("legacy-default", "legacy-letterbox", "legacy-stretch"),
)
"""Ways to make a picture square for a model; `kenspeckle.engines.recipes.in_mode` says what each
does."""


def _setting(default: Any, doc: str, *old: str, secret: bool = False) -> Any:
    """One row of the table: default, meaning, older environment names."""
    return field(default=default, metadata={"doc": doc, "old": old, "secret": secret})


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """Limits on pictures that come from outside."""

    max_bytes: int = _setting(32 * 1024 * 1024, "largest picture file, bytes")
    max_pixels: int = _setting(50_000_000, "largest picture, pixels, read before decoding")
    max_frames: int = _setting(1000, "most frames of an animated picture; the first one is used")
    fetch_timeout: float = _setting(20.0, "seconds one address may take altogether")
    fetch_private: bool = _setting(False, "fetch from private and loopback addresses too")
    fetch_allow: tuple[str, ...] = _setting(
        (),
        "whom alone to fetch from; `public`, which empty stands for, is left out unless it is "
        "named too, and a private address needs itself or its range on the list",
    )


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which model makes the vectors, and where models are kept."""

    name: str = _setting(
        "", "model: a name of `kenspeckle models list`, or a path; empty: the gallery's own"
    )
    head: str = _setting("", "projection head: safetensors, or a checkpoint", "CLIP_PROJ")
    mode: str = _setting(
        "", "how pictures are made square, a recipe of its own; empty: the gallery's, else default"
    )
    folder: str = _setting(
        "",
        "checkpoint to take for the pulled model asked for; an error where it holds another",
        "LOGO_EMBEDDING_MODEL_DIR",
        "LOGO_CLIP_MODEL_DIR",
    )
    home: str = _setting("", "folder of pulled models; empty: the user's cache folder")
    offline: bool = _setting(False, "never fetch a model", "HF_HUB_OFFLINE")
    device: str = _setting("cpu", "cpu, or an ONNX Runtime provider", "IMAGE_EMBED_DEVICE")


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How references become an index."""

    path: str = _setting("", "index file; empty: gallery.ken, else card_index.npz", "CARD_INDEX")
    refs: str = _setting("", "folder of reference pictures", "REFS_DIR")
    naming: str = _setting("auto", "cards, plain, or auto")
    label_from: str = _setting("query", "label of gathered pictures: query or title")
    views: int = _setting(
        -1, "camera views enrolled beside each reference; -1: as the gallery has them, else none"
    )
    calibrate: bool = _setting(True, "fit the rule for unknowns after indexing")
    callers: int = _setting(0, "pictures worked on at once; 0: one a core")
    thumbnail: int = _setting(96, "longest side of the stored thumbnail, pixels; 0: none")


@dataclass(frozen=True, slots=True)
class IdentifySettings:
    """How a photo is asked about."""

    regions: str = _setting(
        "", "whole, center, windows, quad, or auto; empty: the calibration's, else whole"
    )
    fpir: float = _setting(
        0.0,
        f"false-positive rate to aim at; 0: that of the gallery's calibration, else {USUAL_FPIR:g}",
    )
    top: int = _setting(5, "candidates listed with each answer")
    second_look: str = _setting(
        "", "compare local features of the nearest items: sift, orb, off; empty: as calibrated"
    )
    shortlist: int = _setting(0, "items that get a second look; 0: as calibrated, else 20")
    evidence: tuple[str, ...] = _setting(
        (), "what else is read of the nearest items: codes (EAN, QR), text; empty: nothing"
    )


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How the HTTP service listens, what it takes, and who may ask."""

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(0, "port; 0: the usual one of the surfaces served", "PORT")
    surfaces: tuple[str, ...] = _setting((), "surfaces, NAME[=:PORT|=/prefix][:open]; empty: all")
    keys: str = _setting(
        "", "file of API keys, hashed; empty: beside the first index", "KENSPECKLE_KEYS"
    )
    key_file: str = _setting(
        "", "file that holds the first key, as a secret is mounted", "KENSPECKLE_KEY_FILE"
    )
    origins: tuple[str, ...] = _setting((), "origins that pages may ask from; empty: none")
    max_body: int = _setting(40 * 1024 * 1024, "largest request, bytes")
    max_tasks: int = _setting(64, "most tasks or pictures in one request")
    body_timeout: float = _setting(30.0, "seconds in which a request has to arrive")
    timeout: float = _setting(60.0, "seconds one request may take altogether")
    queue: int = _setting(64, "pictures that wait for one model before others are refused")
    connections: int = _setting(512, "requests at once; more are refused")
    per_address: int = _setting(
        0, "connections at once of one address; 0: three quarters of `connections`"
    )
    rate: float = _setting(0.0, "requests a second for each key and address; 0: no limit")
    idle_grace: float = _setting(300.0, "seconds after which an idle model leaves memory; 0: never")
    pinned: tuple[str, ...] = _setting((), "models that stay in memory")
    preload: bool = _setting(True, "load the model of the gallery before the service is ready")
    log_format: str = _setting("text", "text or json")
    patience: float = _setting(
        3.0, "seconds unseen after which an item is gone from before a camera"
    )
    grace: float = _setting(20.0, "seconds that running requests have when the service stops")
    similarity: float = _setting(
        -2.0,
        "fixed similarity threshold in place of the calibration; -2: none",
        "CLIP_SIM_THRESHOLD",
    )
    margin: float = _setting(
        -1.0,
        "fixed margin threshold in place of the calibration; -1: none",
        "CLIP_MARGIN_THRESHOLD",
    )
    detector: bool = _setting(True, "falcon: name every thing in a picture; off: at most one")
    detector_score: float = _setting(0.05, "least score of a detected box", "YOLO_CONF")
    prices: str = _setting("", "price file", "CARD_PRICES")
    usd_per_jpy: float = _setting(
        0.0, "rate of exchange; 0: fetched, else the last one known", "CARD_PRICES_FX_USD_PER_JPY"
    )
    fx_feed: str = _setting(
        "https://open.er-api.com/v6/latest/USD",
        "feed of rates of exchange, asked once where prices need it; empty: never",
    )


@dataclass(frozen=True, slots=True)
class AnalyzeSettings:
    """Which models and files stand behind the analysis of pictures of people and scenes."""

    clip: str = _setting("openai/clip-vit-base-patch32", "model of embed_clip_vit_b_32")
    dino: str = _setting("facebook/dinov2-base", "model of embed_dino_v2")
    person: str = _setting("facebook/detr-resnet-50", "detector of people")
    face: str = _setting("yunet", "detector of faces")
    caption: str = _setting("Salesforce/blip-image-captioning-large", "model of describe_image")
    classifiers: str = _setting("trained_classifiers", "folder of classifiers")
    max_caption: int = _setting(1024, "longest caption that may be asked for, tokens")
    person_score: float = _setting(0.5, "least score of a detected person")
    face_score: float = _setting(0.6, "least score of a detected face")
    rotate: bool = _setting(False, "apply the EXIF rotation before analysis")
    documented_400: bool = _setting(False, "answer 400 where the picture cannot be had")
    require_gpu: bool = _setting(False, "refuse to start without a GPU", "IMAGE_EMBED_REQUIRE_GPU")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, a section per room."""

    image: ImageSettings = field(default_factory=ImageSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    identify: IdentifySettings = field(default_factory=IdentifySettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    analyze: AnalyzeSettings = field(default_factory=AnalyzeSettings)
