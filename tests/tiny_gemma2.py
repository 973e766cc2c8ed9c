"""Makes a small checkpoint of EmbeddingGemma 2's text architecture: random weights, the toy tokenizer of `tiny_gemma`.

As published (transformers' `embedding_gemma2`): wider full-attention layers with one key/value head, per-layer inputs by
projection, a projection of every token to 768 numbers, mean pooling, normalisation; the towers for images and sound are
absent, as its configuration allows. Only the sizes are small. The same arguments give the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from tiny_gemma import PROMPTS, write_json, write_tokenizer

LONGEST = 512
DIMENSIONS = 768


def make_tiny_gemma2(folder: Path, *, seed: int = 0) -> Path:
    """Write the checkpoint into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_model(folder, write_tokenizer(folder), seed)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": LONGEST, "do_lower_case": False})
    settings = {"model_type": "SentenceTransformer", "prompts": PROMPTS, "default_prompt_name": None}
    write_json(folder / "config_sentence_transformers.json", settings)
    pooling = {"word_embedding_dimension": DIMENSIONS, "pooling_mode_mean_tokens": True, "include_prompt": True}
    write_json(folder / "1_Pooling" / "config.json", pooling)
    return folder


def _write_model(folder: Path, vocabulary: int, seed: int) -> None:
    import torch
    from transformers import EmbeddingGemma2TextConfig, EmbeddingGemma2TextModel

    text = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "global_head_dim": 32,
        "num_global_key_value_heads": 1,
        "hidden_size_per_layer_input": 24,
        "embedding_dim": DIMENSIONS,
        "sliding_window": 8,  # a radius, unlike Gemma 3's
        "max_position_embeddings": 2 * LONGEST,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    }
    model = EmbeddingGemma2TextModel(EmbeddingGemma2TextConfig(**text))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            weight.normal_(0, weight.shape[1] ** -0.5 if weight.dim() == 2 else 0.3, generator=generator)
    model.save_pretrained(folder)
