"""Captions by a checkpoint that converses about pictures (extra `torch`): Gemma 3, LLaVA, others.

Such a network is asked for a caption in words. The form of the conversation is the checkpoint's own
chat template, which transformers fills in a sandbox; no other code of it runs.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kenspeckle import _threads
from kenspeckle._extras import need
from kenspeckle.engines.torch_loading import described, device_of, network, processor
from kenspeckle.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

ASKED = (
    "Write a caption of this picture for a collection: one paragraph that names what is in it, "
    "what it looks like and where it is. Give the caption alone."
)
"""What the network is asked."""

CLASS = "AutoModelForImageTextToText"
_TEMPLATES = ("chat_template.jinja", "chat_template.json")


def converses(folder: Path) -> bool:
    """Whether a checkpoint brings the template of a conversation."""
    if any((folder / name).is_file() for name in _TEMPLATES):
        return True
    places = (folder / "tokenizer_config.json", folder / "processor_config.json")
    return any(path.is_file() and b'"chat_template"' in path.read_bytes() for path in places)


class ChatCaptionModel:
    """One loaded network. `run` may be called from many threads; they take turns.

    It keeps the precision of its file. Raises ModelError for a checkpoint that cannot converse
    about pictures, is damaged or needs code.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._torch = torch = need("torch", f"captions by {folder.name}")
        transformers = need("transformers", f"captions by {folder.name}")
        self._thing = folder
        self.device = device_of(torch, device)
        if self.device == "cpu":
            torch.set_num_threads(_threads.INTRA_OP)
        config = described(transformers, folder, self._thing)
        self._processor = processor(transformers, folder, self._thing)
        made = network(transformers, CLASS, folder, config, self._thing, dtype="auto")
        self._network: Any = made.to(self.device)
        self._turn = threading.Lock()  # generation keeps state of its own between two steps

    def run(self, image: Image, max_length: int) -> str:
        """The caption of an RGB picture in one paragraph of at most `max_length` tokens.

        The likeliest token each time. Raises ModelError when the network fails.
        """
        said = [
            {
                "role": "user",
                "content": [{"type": "image", "image": image}, {"type": "text", "text": ASKED}],
            }
        ]
        try:
            given = self._processor.apply_chat_template(
                said,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            ).to(self.device, dtype=self._network.dtype)
            with self._turn, self._torch.inference_mode():
                rows = self._network.generate(**given, do_sample=False, max_new_tokens=max_length)
            answer = rows[0][given["input_ids"].shape[1] :].tolist()
            text = self._processor.decode(answer, skip_special_tokens=True)
        except Exception as error:  # processors raise whatever their parts do
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(self._thing, f"the network failed ({first})") from error
        return " ".join(str(text).split())
