"""Makes a small checkpoint of EmbeddingGemma-300m's architecture: random weights, a trained toy tokenizer, ~1 MB.

Everything is there that the real one has: Gemma 3 text model with bidirectional attention and a sliding window, mean
pooling, two dense layers without bias that end at 768, normalisation, prompts in the configuration. Only the sizes
are small. The same arguments give the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PROMPTS = {
    "query": "task: search result | query: ",
    "document": "title: none | text: ",
    "Classification": "task: classification | query: ",
    "Clustering": "task: clustering | query: ",
    "STS": "task: sentence similarity | query: ",
    "InstructionRetrieval": "task: code retrieval | query: ",
}
MANY_KINDS = [  # of texts: short, longer than the window, longer than the model reads, other scripts
    "Where is the nearest library?",
    "The brown fox runs. " * 8,
    "Every word of this text counts until the model stops reading. " * 40,
    "Die Rückgabe ist in der Brücke möglich, sagte die Ärztin.",
    "図書館はどこですか。開館時間は九時から十七時までです。",
    "أين تقع أقرب مكتبة؟",
    "איפה הספרייה הקרובה?",
    "Family 👨‍👩‍👧‍👦 and flags 🇨🇭🇯🇵 in one line 🎉",
]
MAX_LENGTH = 160
WINDOW = 16  # full width: 8 tokens on each side
HIDDEN = 48
DIMENSIONS = 768

_CORPUS = [
    "the quick brown fox jumps over the lazy dog and runs into the forest",
    "title: none | text: a document about the search of similar texts",
    "task: search result | query: where is the library and when does it open",
    "task: sentence similarity | query: clustering classification code retrieval question answering fact checking",
    "Über die Brücke gehen wir nach Hause, sagte die Ärztin.",
    "def main(): return [value for value in range(10)]",
]


FULL_SIZE = {
    "vocab_size": 262_144,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_hidden_layers": 24,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "max_position_embeddings": 2048,
    "sliding_window": 512,
    "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 4,
}
"""What EmbeddingGemma-300m's configuration says, where the tiny one differs."""


def make_tiny_gemma(folder: Path, *, seed: int = 0, full_size: bool = False) -> Path:
    """Write the checkpoint into `folder` and return it. Another seed is another model.

    full_size: of EmbeddingGemma-300m's sizes, 1.2 GB of random weights, for measuring speed; the tokenizer stays a toy.
    """
    hidden, inner, longest = (768, 3072, 2048) if full_size else (HIDDEN, 192, MAX_LENGTH)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_tokenizer(folder)
    _write_transformer(folder, vocabulary, seed, FULL_SIZE if full_size else {})
    _write_dense(folder, "2_Dense", hidden, inner, seed + 1)
    _write_dense(folder, "3_Dense", inner, DIMENSIONS, seed + 2)
    kinds = {
        "": "Transformer",
        "1_Pooling": "Pooling",
        "2_Dense": "Dense",
        "3_Dense": "Dense",
        "4_Normalize": "Normalize",
    }
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "SentenceTransformer",
            "prompts": PROMPTS,
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    )
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True, "include_prompt": True},
    )
    return folder


def write_tokenizer(folder: Path) -> int:
    """Train and write a byte-fallback BPE with Gemma's special tokens; return the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=special + [f"<0x{byte:02X}>" for byte in range(256)], show_progress=False
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", pair="<bos> $A <eos> <bos>:1 $B:1 <eos>:1", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(zip(("pad_token", "eos_token", "bos_token", "unk_token", "mask_token"), special, strict=True))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "padding_side": "right",
        "model_max_length": MAX_LENGTH,
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", settings | names)
    return tokenizer.get_vocab_size()


def _write_transformer(folder: Path, vocabulary: int, seed: int, sizes: dict[str, Any]) -> None:
    import torch
    from transformers import Gemma3TextConfig, Gemma3TextModel

    small = {
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "max_position_embeddings": 2 * MAX_LENGTH,
        "sliding_window": WINDOW,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    }
    config = Gemma3TextConfig(
        num_attention_heads=3, num_key_value_heads=1, use_bidirectional_attention=True, **small | sizes
    )
    model = Gemma3TextModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            # a matrix keeps the size of what it is given; a norm's gain (1 + weight) varies, as in a trained model
            weight.normal_(0, weight.shape[1] ** -0.5 if weight.dim() == 2 else 0.3, generator=generator)
    model.save_pretrained(folder)
    # transformers halves the window of a bidirectional model when it reads a configuration, so the file has it whole
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", written | {"sliding_window": (small | sizes)["sliding_window"]})


def _write_dense(folder: Path, name: str, inputs: int, outputs: int, seed: int) -> None:
    import torch
    from safetensors.torch import save_file

    settings = {"in_features": inputs, "out_features": outputs, "bias": False}
    write_json(folder / name / "config.json", settings | {"activation_function": "torch.nn.modules.linear.Identity"})
    weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed)) * inputs**-0.5
    save_file({"linear.weight": weight}, str(folder / name / "model.safetensors"))


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
