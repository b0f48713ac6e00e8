"""Answers of the native API as its description shows them, one for each operation that answers in
JSON."""

from __future__ import annotations

from typing import Any

_AT = "/v1/galleries/things"
_PICTURE = f"{_AT}/references/17/picture"
_THUMBNAIL = f"{_AT}/references/17/thumbnail"
_STALE = "references were added or removed since"

_MODEL = {"name": "efflite0-288-gem-w384", "space_id": "9f2ab1c07d3e4f51", "width": 384}
_FINGERPRINT = {
    "model": "efflite0-288-gem-w384",
    "weights": "c4" * 32,
    "recipe": {
        "side": 288,
        "fit": "stretch",
        "resample": "bicubic",
        "mean": [127.0, 127.0, 127.0],
        "std": [128.0, 128.0, 128.0],
        "fill": 0,
        "reduce": True,
        "short": 0,
        "first": "",
    },
    "width": 2,
    "head": "",
}
_TIMES = {
    "elapsed_seconds": 0.034,
    "stages": {"decode": 0.006, "embedding": 0.021, "search": 0.001},
}
_CANDIDATE = {
    "key": "red mug",
    "label": "Red Mug",
    "variant": "",
    "similarity": 0.83,
    "reference": "red_mug.jpg",
    "reference_id": 17,
    "picture_url": _PICTURE,
    "thumbnail_url": _THUMBNAIL,
    "metadata": {"shelf": "3"},
}
_DECISION = {
    "known": True,
    "key": "red mug",
    "label": "Red Mug",
    "variant": "",
    "variant_certain": True,
    "confidence": 0.97,
    "score": 0.21,
    "threshold": 0.12,
    "similarity": 0.83,
    "margin": 0.21,
    "reasons": ["margin 0.210 above the threshold 0.120"],
    "region": {"kind": "whole", "box": [0, 0, 1024, 768], "corners": None},
    "candidates": [_CANDIDATE],
    "evidence": [],
}
_IDENTIFIED = {
    **_TIMES,
    "gallery": "things",
    "image_size": [1024, 768],
    "decision": _DECISION,
    "regions": [_DECISION],
    "stale": "",
    "model": _MODEL,
}
_PROBLEM = {
    "type": "urn:kenspeckle:picture-error",
    "title": "Bad Request",
    "status": 400,
    "detail": "broken.jpg: 3 bytes unlike the beginning of any picture; expected a JPEG, PNG, "
    "WebP, AVIF, GIF, TIFF, BMP or HEIC picture. Replace or remove it.",
    "instance": f"{_AT}/identify/batch",
    "request_id": "0190f5c2b7a84d1e9c3a5f60718293a4",
}
_BROKEN = {"name": "broken.jpg", "problem": _PROBLEM}

_GALLERY = {
    "name": "things",
    "items": 120,
    "references": 364,
    "model": _MODEL,
    "naming": "plain",
    "calibration": {
        "score": "margin+cohort",
        "threshold": 0.31,
        "fpir": 0.05,
        "regions": "whole",
        "method": "quick",
        "date": "2026-02-03",
        "promises": [
            {
                "strangers": "general",
                "fpir": 0.05,
                "low": 0.042,
                "high": 0.059,
                "trials": 2723,
                "items": 2723,
            }
        ],
        "notes": [],
    },
    "stale": "",
    "promise": [
        "Strangers, things that are not enrolled: of unrelated pictures about 5 % get a name (of "
        "as many others 4.2 % to 5.9 %, 2,723 trials), what looks like your items was not tried, "
        "and may well get one."
    ],
    "url": _AT,
}
_ITEM = {
    "key": "red mug",
    "label": "Red Mug",
    "variants": [],
    "references": 3,
    "url": f"{_AT}/items/red%20mug",
}
_REFERENCE = {
    "id": 17,
    "key": "red mug",
    "label": "Red Mug",
    "variant": "",
    "path": "red_mug.jpg",
    "sha256": "9f" * 32,
    "bytes": 81234,
    "added": False,
    "metadata": {"shelf": "3"},
    "url": f"{_AT}/references/17",
    "picture_url": _PICTURE,
    "thumbnail_url": _THUMBNAIL,
}
_ENROLLED = {**_REFERENCE, "path": f"added/{'9f' * 8}/red_mug.jpg", "added": True}
_ADDED = {"references": [_ENROLLED], "removed": 0, "replaced": [], "stale": _STALE}
_REPLACED = {"references": [_ENROLLED], "removed": 1, "replaced": [12], "stale": _STALE}
_REMOVED = {"references": [], "removed": 1, "replaced": [], "stale": _STALE}
_FEEDBACK = {
    "number": 1,
    "said": "confirmed",
    "key": "red mug",
    "photo": f"confirmed/{'4f' * 8}",
    "sha256": "4f" * 32,
    "date": "2026-11-21T17:03:12+00:00",
    "regions": "whole",
    "vectors": 1,
}
_TAKEN = {**_FEEDBACK, "stale": "feedback was given since"}
_JOB = {
    "id": "9f2c51d07ab34e18",
    "kind": "index",
    "gallery": "things",
    "state": "running",
    "created": "2026-11-21T17:03:12.123+00:00",
    "started": "2026-11-21T17:03:12.130+00:00",
    "finished": "",
    "done": 120,
    "total": 300,
    "at": "red_mug.jpg",
    "cancelling": False,
    "error": "",
    "result": {},
}
_WAITING = {**_JOB, "state": "waiting", "started": "", "done": 0, "total": 0, "at": ""}
_PHOTO = {
    "photo": "https://example.com/photo.jpg",
    "known": True,
    "key": "red mug",
    "label": "Red Mug",
    "variant": "",
    "confidence": 0.97,
    "similarity": 0.83,
    "reason": "margin 0.210 above the threshold 0.120",
    "error": "",
}
_TASK = {
    "id": "face",
    "status": "success",
    "message": None,
    "model": "yunet",
    "box": None,
    "crop": None,
    "detections": [{"box": [412, 96, 530, 251], "score": 0.94, "label": "face"}],
    "vector": None,
    "caption": None,
    "classification": None,
}
_OPERATION = {
    "type": "detect_bounding_box",
    "description": "Box [xmin, ymin, xmax, ymax] of the surest person or face, null where there is "
    "none.",
    "targets": ["prominent_person", "prominent_face"],
    "default_target": "prominent_person",
    "models": [
        {"use": "person", "name": "facebook/detr-resnet-50", "available": True, "missing": ""},
        {"use": "face", "name": "yunet", "available": True, "missing": ""},
    ],
}


def _page(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(rows), "next": None}


EXAMPLES: dict[str, dict[str, Any]] = {
    "list_galleries": _page(_GALLERY),
    "get_gallery": _GALLERY,
    "identify": _IDENTIFIED,
    "identify_batch": {
        **_TIMES,
        "answers": [{"name": "photo.jpg", "answer": _IDENTIFIED}, _BROKEN],
        "failed": 1,
    },
    "search": {**_TIMES, "gallery": "things", "candidates": [_CANDIDATE], "model": _MODEL},
    "search_batch": {
        **_TIMES,
        "gallery": "things",
        "answers": [{"name": "photo.jpg", "candidates": [_CANDIDATE]}],
        "failed": 0,
        "model": _MODEL,
    },
    "make_vectors": {
        **_TIMES,
        "gallery": "things",
        "vectors": [{"name": "photo.jpg", "vector": [0.6, -0.8], "vector_base64": None}],
        "failed": 0,
        "model": {**_MODEL, "width": 2},
        "fingerprint": _FINGERPRINT,
    },
    "list_references": _page(_REFERENCE),
    "list_item_references": _page(_REFERENCE),
    "add_references": _ADDED,
    "replace_references": _REPLACED,
    "get_reference": _REFERENCE,
    "replace_reference": _REPLACED,
    "remove_reference": _REMOVED,
    "list_items": _page(_ITEM),
    "add_items": _ADDED,
    "get_item": _ITEM,
    "remove_item": {**_REMOVED, "removed": 3},
    "feedback": _page(_FEEDBACK),
    "confirm": _TAKEN,
    "reject": {**_TAKEN, "said": "rejected", "photo": f"rejected/{'4f' * 8}"},
    "undo_feedback": {**_TAKEN, "stale": ""},
    "rename": {"former": "thing 3", "key": "tower", "label": "The Tower", "references": 3},
    "start_job": _WAITING,
    "jobs": _page(_JOB),
    "job": _JOB,
    "cancel_job": {**_JOB, "cancelling": True},
    "job_answers": {**_page(_PHOTO), "state": "done"},
    "analyze": {
        "pictures": [
            {"name": "photo.jpg", "image_size": [1024, 768], "results": [_TASK], "problem": None}
        ],
        "failed": 0,
        "elapsed_seconds": 0.041,
        "stages": {"processing": 0.006, "detection": 0.031},
    },
    "analyze_operations": {"operations": [_OPERATION]},
}
"""By the name of the operation."""


def show(document: dict[str, Any]) -> None:
    """Put the examples beside the shapes of the answers."""
    for methods in document["paths"].values():
        for operation in methods.values():
            example = EXAMPLES.get(operation["operationId"])
            for status, answer in operation["responses"].items():
                content = answer.get("content", {}).get("application/json")
                if example and content and status < "300":
                    content["example"] = example
