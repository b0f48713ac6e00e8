"""Checkpoints of a few layers, of the architectures that people pull, made where a test needs them.

Each maker writes one into a folder, as `save_pretrained` does, and returns the network and the
processor that transformers itself would use. Weights are large enough that a wrong pixel shows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SIDE = 32
WORDS = (
    *("a", "cup", "of", "coffee", "on", "the", "wooden", "table", "woman"),
    *("in", "orange", "suit", "smiling", "flag", "spoon", "and", "red"),
)
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 8,
    "initializer_range": 0.1,
}


def _made(network: Any, loud: float = 4.0) -> Any:
    """The network with weights of its own, larger than those it starts with."""
    import torch

    with torch.no_grad():
        for name, weights in network.named_parameters():
            if weights.ndim > 1 and "norm" not in name:
                weights.mul_(loud)
    return network.eval()


def _processor(name: str, folder: Path, **options: Any) -> Any:
    import transformers

    made = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    processor = made(**options)
    processor.save_pretrained(folder)
    return processor


def tokenizer(folder: Path) -> Any:
    """A tokenizer of whole words, as the files that BERT's has."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: n for n, word in enumerate([*_SPECIAL, *WORDS])}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    special |= {"sep_token": "[SEP]", "mask_token": "[MASK]", "bos_token": "[DEC]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=made, **special)
    fast.save_pretrained(folder)
    return fast


def blip(folder: Path, seed: int = 2) -> tuple[Any, Any]:
    """A captioner of BLIP's architecture."""
    import torch
    import transformers

    torch.manual_seed(seed)
    text = {
        "vocab_size": len(_SPECIAL) + len(WORDS),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "encoder_hidden_size": 32,
        "max_position_embeddings": 64,
        "projection_dim": 16,
        "bos_token_id": 5,
        "eos_token_id": 2,
        "sep_token_id": 3,
        "pad_token_id": 0,
        "initializer_range": 0.1,
    }
    config = transformers.BlipConfig(
        text_config=text, vision_config=VISION, projection_dim=16, image_text_hidden_size=16
    )
    network = _made(transformers.BlipForConditionalGeneration(config), 2.0)
    network.save_pretrained(folder)
    tokenizer(folder)
    size = {"height": SIDE, "width": SIDE}
    return network, _processor("BlipImageProcessor", folder, size=size)


def git(folder: Path) -> tuple[Any, Any]:
    """A captioner of GIT's architecture: pictures and words in one decoder."""
    import torch
    import transformers

    torch.manual_seed(2)
    config = transformers.GitConfig(
        vision_config=VISION, vocab_size=len(_SPECIAL) + len(WORDS), hidden_size=32,
        intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, initializer_range=0.2,
        max_position_embeddings=64, bos_token_id=2, eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    network = _made(transformers.GitForCausalLM(config), 2.0)
    network.save_pretrained(folder)
    tokenizer(folder)
    size = {"shortest_edge": SIDE}
    return network, _processor("CLIPImageProcessor", folder, size=size, crop_size=SIDE)


def encoder_decoder(folder: Path) -> tuple[Any, Any]:
    """A captioner of two networks: ViT looks, GPT-2 writes."""
    import torch
    import transformers

    torch.manual_seed(4)
    looks = transformers.ViTConfig(**VISION)
    writes = transformers.GPT2Config(
        vocab_size=len(_SPECIAL) + len(WORDS), n_embd=32, n_layer=2, n_head=2, n_positions=64,
        initializer_range=0.2, add_cross_attention=True, is_decoder=True, bos_token_id=5,
        eos_token_id=3,
    )  # fmt: skip
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(looks, writes)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 5, 0, 3
    network = _made(transformers.VisionEncoderDecoderModel(config), 2.0)
    network.generation_config.update(decoder_start_token_id=5, pad_token_id=0, eos_token_id=3)
    network.save_pretrained(folder)
    tokenizer(folder)
    size = {"height": SIDE, "width": SIDE}
    return network, _processor("ViTImageProcessor", folder, size=size)


TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} the{% endif %}"
)


def llava(folder: Path) -> tuple[Any, Any]:
    """A network that converses about pictures, of LLaVA's architecture, and its whole processor."""
    import torch
    import transformers

    torch.manual_seed(8)
    words = tokenizer(folder)
    words.add_special_tokens({"additional_special_tokens": ["<image>"]})
    text = transformers.LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, initializer_range=0.3, bos_token_id=5,
        eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION),
        text_config=text,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    network = _made(transformers.LlavaForConditionalGeneration(config), 2.0)
    network.save_pretrained(folder)
    size = {"shortest_edge": SIDE}
    pixels = _processor("CLIPImageProcessor", folder, size=size, crop_size=SIDE)
    whole = transformers.LlavaProcessor(
        pixels, words, patch_size=VISION["patch_size"], chat_template=TEMPLATE,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
    )  # fmt: skip
    whole.save_pretrained(folder)
    return network, whole


def clip(
    folder: Path, *, activation: str = "quick_gelu", columns: int = 24, side: int = SIDE
) -> tuple[Any, Any]:
    """A CLIP of so many columns, for squares of `side`."""
    import torch
    import transformers

    torch.manual_seed(7)
    text = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 99,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    sees = {**VISION, "hidden_act": activation, "image_size": side, "patch_size": side // 4}
    config = transformers.CLIPConfig(text_config=text, vision_config=sees, projection_dim=columns)
    network = _made(transformers.CLIPModel(config))
    network.save_pretrained(folder)
    size = {"shortest_edge": side}
    return network, _processor("CLIPImageProcessor", folder, size=size, crop_size=side)


def dinov2(folder: Path, *, columns: int = 32, side: int = SIDE) -> tuple[Any, Any]:
    """A DINOv2 trained at `side` and published with a smaller crop, as its kin is: 224 of 518.

    The processor that comes back prepares the pixels that it was trained at.
    """
    import torch
    import transformers

    torch.manual_seed(5)
    shape = {key: value for key, value in VISION.items() if key != "intermediate_size"}
    shape |= {"hidden_size": columns, "image_size": side, "patch_size": side // 4}
    network = _made(transformers.Dinov2Model(transformers.Dinov2Config(**shape)))
    network.save_pretrained(folder)
    trained = _processor(
        "BitImageProcessor", folder, size={"shortest_edge": side}, crop_size=side,
        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
    )  # fmt: skip
    path = folder / "preprocessor_config.json"
    published = json.loads(path.read_text())
    crop = side * 224 // 518
    published |= {"size": {"shortest_edge": crop + 2}}
    published |= {"crop_size": {"height": crop, "width": crop}}
    path.write_text(json.dumps(published))
    return network, trained


KINDS = {0: "N/A", 1: "person", 2: "bicycle"}


def detr(folder: Path, layer: str = "basic") -> tuple[Any, Any]:
    """A detector of the layout of `facebook/detr-resnet-50`, with a trunk of 18 or 50 layers."""
    import torch
    import transformers

    torch.manual_seed(11)
    basic = layer == "basic"
    sides = [64, 128, 256, 512]
    trunk = transformers.ResNetConfig(
        depths=[2, 2, 2, 2] if basic else [3, 4, 6, 3],
        hidden_sizes=sides if basic else [4 * side for side in sides],
        layer_type=layer,
        out_features=["stage4"],
    )
    config = transformers.DetrConfig(
        backbone_config=trunk, d_model=32, num_queries=12, encoder_layers=1, decoder_layers=1,
        encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=2,
        decoder_attention_heads=2, id2label=KINDS, label2id={v: k for k, v in KINDS.items()},
    )  # fmt: skip
    network = transformers.DetrForObjectDetection(config).eval()
    random = torch.Generator().manual_seed(13)
    with torch.no_grad():
        for name, values in network.named_buffers():
            if name.endswith("running_mean"):
                values.copy_(torch.randn(values.shape, generator=random) * 0.1)
            elif name.endswith("running_var"):
                values.copy_(torch.rand(values.shape, generator=random) + 0.5)
        for name, weights in network.named_parameters():
            if "class_labels" in name or "query_position" in name or "bbox_predictor" in name:
                weights.mul_(8.0)
            elif weights.ndim == 2:
                weights.mul_(2.0)
    network.save_pretrained(folder)
    size = {"shortest_edge": 80, "longest_edge": 133}
    return network, _processor("DetrImageProcessor", folder, size=size)


NAMED = {"id2label": KINDS, "label2id": {name: number for number, name in KINDS.items()}}
SMALL = {
    "d_model": 32,
    "num_queries": 12,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}


def yolos(folder: Path) -> tuple[Any, Any]:
    """A detector that is a plain transformer over patches."""
    import torch
    import transformers

    torch.manual_seed(1)
    shape = {**VISION, "image_size": [64, 64], "patch_size": 16, "initializer_range": 0.2}
    config = transformers.YolosConfig(**shape, num_detection_tokens=8, **NAMED)
    network = transformers.YolosForObjectDetection(config).eval()
    network.save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 128}
    return network, _processor("YolosImageProcessor", folder, size=size)


def rt_detr(folder: Path) -> tuple[Any, Any]:
    """A detector for squares, whose kinds have a sigmoid each."""
    import torch
    import transformers

    torch.manual_seed(1)
    trunk = transformers.RTDetrResNetConfig(
        embedding_size=16, hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.RTDetrConfig(
        backbone_config=trunk, encoder_hidden_dim=32, encoder_in_channels=[16, 32, 32],
        decoder_in_channels=[32, 32, 32], eval_size=None, num_denoising=0, **SMALL, **NAMED,
    )  # fmt: skip
    network = transformers.RTDetrForObjectDetection(config).eval()
    network.save_pretrained(folder)
    size = {"height": 96, "width": 96}
    return network, _processor("RTDetrImageProcessor", folder, size=size)


def conditional_detr(folder: Path) -> tuple[Any, Any]:
    """A detector of DETR's layout, whose kinds have a sigmoid each."""
    import torch
    import transformers

    torch.manual_seed(1)
    trunk = transformers.ResNetConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[16, 16, 32, 32], layer_type="basic",
        out_features=["stage4"],
    )  # fmt: skip
    config = transformers.ConditionalDetrConfig(
        backbone_config=trunk, use_timm_backbone=False, **SMALL, **NAMED
    )
    network = transformers.ConditionalDetrForObjectDetection(config).eval()
    network.save_pretrained(folder)
    size = {"shortest_edge": 80, "longest_edge": 133}
    return network, _processor("ConditionalDetrImageProcessor", folder, size=size)
