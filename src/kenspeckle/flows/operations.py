"""What can be asked about a picture of people or of a scene: the table of operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

WHOLE, PERSON, FACE = "whole_image", "prominent_person", "prominent_face"
TARGETS = (WHOLE, PERSON, FACE)
"""Parts of a picture that can be asked about."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    `allowed` are the parts of a picture it takes, `default` the one meant when none is named.
    `uses` are the engines behind it (`person`, `face`, `clip`, `dino`, `caption`); parts that are
    looked for need theirs besides.
    """

    name: str
    description: str
    uses: tuple[str, ...] = ()
    allowed: tuple[str, ...] = TARGETS
    default: str = WHOLE


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "detect_bounding_box",
        "Box [xmin, ymin, xmax, ymax] of the surest person or face, null where there is none.",
        ("person", "face"),
        (PERSON, FACE),
        PERSON,
    ),
    Operation("embed_clip_vit_b_32", "Image features by CLIP, not scaled to length 1.", ("clip",)),
    Operation("embed_dino_v2", "Image features by DINOv2, not scaled to length 1.", ("dino",)),
    Operation(
        "classify",
        "Whether the picture belongs to a collection, by the classifier trained for it "
        "(collection_id); the classifier's own metadata says which vector of which part it reads.",
        ("clip", "dino"),
    ),
    Operation("describe_image", "A caption (max_length tokens, 50 by default).", ("caption",)),
)

BY_NAME: Mapping[str, Operation] = MappingProxyType({one.name: one for one in OPERATIONS})
VECTORS: Mapping[str, str] = MappingProxyType(
    {"embed_clip_vit_b_32": "clip", "embed_dino_v2": "dino"}
)
"""Operations that give a vector → the engine that makes it."""
EMPLOYED: Mapping[str, str] = MappingProxyType({PERSON: "person", FACE: "face"})
"""Parts that are looked for → the engine that finds them."""
