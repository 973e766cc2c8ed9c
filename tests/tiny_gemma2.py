"""Makes a small EmbeddingGemma 2 in the layout in which it is published: random weights, the toy tokenizer of `tiny_gemma`.

The published repository holds the composite of text, pictures and sound (transformers' `EmbeddingGemma2Model`): one
configuration with three parts, a processor's configuration, weights whose text part is `language_model.*`, or the same
under an index of several files. No longest input is stated, and the tokenizer allows any. Only the sizes are small; the
towers are a few tensors under the names of real ones. The same arguments give the same bytes, and the same seed the same
text part, whatever the layout.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tiny_gemma import write_json, write_tokenizer

LONGEST = 8192
DIMENSIONS = 768
WINDOW = 8  # a radius, unlike Gemma 3's
PROMPTS = {
    "query": "task: search result | query: ",
    "document": "title: none | text: ",
    "SearchQuery": "task: search result | query: ",
    "Document": "title: none | text: ",
    "QuestionAnswering": "task: question answering | query: ",
    "FactChecking": "task: fact checking | query: ",
    "Classification": "task: classification | query: ",
    "Clustering": "task: clustering | query: ",
    "SentenceSimilarity": "task: sentence similarity | query: ",
    "CodeRetrieval": "task: code retrieval | query: ",
}
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "hidden_size_per_layer_input": 24,
    "embedding_dim": DIMENSIONS,
    "sliding_window": WINDOW,
    "max_position_embeddings": 262_144,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
}
FULL_SIZE = {
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 24,
    "head_dim": 256,
    "hidden_size_per_layer_input": 512,
    "sliding_window": 512,
    "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 4,
}
"""What EmbeddingGemma 2's configuration says, where the tiny one differs."""

TOWERS = {  # a few of the names under which transformers saves them
    "vision_tower.patch_embedder.input_proj.weight": (16, 48),
    "vision_tower.patch_embedder.position_embedding_table": (
        2,
        10_240,
        16,
    ),  # most of the file, as the towers are in the real one
    "vision_tower.encoder.layers.0.self_attn.q_proj.linear.weight": (16, 16),
    "audio_tower.subsample_conv_projection.layer0.conv.weight": (4, 1, 3, 3),
    "audio_tower.layers.0.self_attn.q_proj.linear.weight": (16, 16),
    "embed_vision.embedding_projection.weight": (32, 16),
    "embed_audio.embedding_projection.weight": (32, 16),
}


def make_tiny_gemma2(
    folder: Path,
    *,
    seed: int = 0,
    flat: bool = False,
    shards: int = 1,
    dtype: str = "bfloat16",
    full_size: bool = False,
) -> Path:
    """Write the checkpoint into `folder` and return it.

    flat: the text model alone, in the layout that sentence-transformers loads without libraries for pictures and sound.
    shards: files of the weights; more than one lie under an index, the towers' tensors in the first.
    full_size: of EmbeddingGemma 2's sizes, 0.5 GB of random weights, for measuring speed; the tokenizer stays a toy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_tokenizer(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    write_json(folder / "tokenizer_config.json", settings | {"model_max_length": 10**30})
    text, weights = _text_part(vocabulary, seed, dtype, full_size=full_size)
    if flat:
        write_json(folder / "config.json", text | {"architectures": ["EmbeddingGemma2TextModel"], "dtype": dtype})
    else:
        write_json(folder / "config.json", _composite(text, dtype))
        write_json(folder / "processor_config.json", _PROCESSOR)
        weights = _towers(dtype) | {f"language_model.{name}": weight for name, weight in weights.items()}
    _save(folder, weights, shards)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    write_json(folder / "modules.json", modules)
    settings = {"model_type": "SentenceTransformer", "prompts": PROMPTS, "default_prompt_name": None}
    write_json(folder / "config_sentence_transformers.json", settings)
    pooling = {"word_embedding_dimension": DIMENSIONS, "pooling_mode_mean_tokens": True, "include_prompt": True}
    write_json(folder / "1_Pooling" / "config.json", pooling)
    return folder


_PROCESSOR = {
    "processor_class": "EmbeddingGemma2Processor",
    "image_processor": {"image_processor_type": "Gemma4ImageProcessor", "patch_size": 16},
    "video_processor": {"video_processor_type": "EmbeddingGemma2VideoProcessor", "patch_size": 16},
    "feature_extractor": {"feature_extractor_type": "Gemma4AudioFeatureExtractor", "sampling_rate": 16_000},
}


def _composite(text: dict[str, Any], dtype: str) -> dict[str, Any]:
    return {
        "architectures": ["EmbeddingGemma2Model"],
        "model_type": "embedding_gemma2",
        "dtype": dtype,
        "text_config": text,
        "vision_config": {"model_type": "gemma4_vision", "hidden_size": 16, "num_hidden_layers": 1},
        "audio_config": {"model_type": "gemma4_audio", "hidden_size": 16, "num_hidden_layers": 1},
    }


def _text_part(vocabulary: int, seed: int, dtype: str, *, full_size: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configuration of the text part as transformers writes it, and its weights by name."""
    import torch
    from transformers import EmbeddingGemma2TextConfig, EmbeddingGemma2TextModel

    sizes = SIZES | (FULL_SIZE if full_size else {})
    wider = {"global_head_dim": 2 * sizes["head_dim"], "num_global_key_value_heads": 1}  # where the whole text is seen
    config = EmbeddingGemma2TextConfig(vocab_size=262_144 if full_size else vocabulary, **wider, **sizes)
    model = EmbeddingGemma2TextModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if weight.dim() == 2:
                weight.normal_(0, weight.shape[1] ** -0.5, generator=generator)
            else:  # small gains behind each half, as in trained nets: rounding is not amplified from layer to layer
                weight.normal_(0.1 if "post_" in name else 1.0, 0.01 if full_size else 0.05, generator=generator)
        for number, layer in enumerate(() if full_size else model.layers):  # 1 in the large one, for the same reason
            layer.layer_scalar.fill_(0.75 + number)
    state = {name: tensor.to(getattr(torch, dtype)) for name, tensor in model.state_dict().items()}
    return json.loads(config.to_json_string()), state


def _towers(dtype: str) -> dict[str, Any]:
    import torch

    return {name: torch.full(shape, 0.5, dtype=getattr(torch, dtype)) for name, shape in TOWERS.items()}


def _save(folder: Path, weights: dict[str, Any], shards: int) -> None:
    from safetensors.torch import save_file

    if shards == 1:
        save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
        return
    names, placed = list(weights), {}
    size = -(-len(names) // shards)
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = {name: weights[name] for name in names[number * size : (number + 1) * size]}
        save_file(part, str(folder / file), {"format": "pt"})
        placed |= dict.fromkeys(part, file)
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": placed})
