"""The text part of EmbeddingGemma 2, out of the composite in which it is published or out of the text model alone.

sentence-transformers takes the composite for what it is, a model of texts, pictures and sounds, and wants the libraries
for all three. Only texts are embedded here, so the parts are put together one by one: the class of the text part from
transformers, its weights out of the safetensors files, tensor by tensor (the towers' bytes are never touched), the
tokenizer, and behind it the modules that modules.json names, from sentence-transformers.

Rules kept here: every weight comes from the files and every tensor of the text part is used, or the model is refused;
nothing of the folder is run as code. Imports torch: import it only where a model is loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from sentence_transformers.util import import_from_string

from knowledge_core.embedding.local.sentence_transformers_engine import refuse_misfits
from knowledge_core.embedding.models.model_folder import COMPOSITE, Model, text_prefix
from knowledge_core.embedding.models.safetensors_headers import few, stored
from knowledge_core.errors import ModelUnavailable

_KINDS = {"F32", "BF16", "F16", "F64"}  # plain numbers; what was quantised needs its scales


class TextPart(torch.nn.Module):
    """Texts to vectors, called like a `SentenceTransformer`: `preprocess`, then the call itself."""

    def __init__(self, model: Model, dtype: torch.dtype, device: str) -> None:
        super().__init__()
        self.longest = model.max_length
        self.text_model = _text_model(model, dtype)
        self.following = torch.nn.ModuleList(_following(model.folder)).float()  # as little as it is, it can be exact
        # A chat template that lies beside it is left alone: texts are read as they are.
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(model.folder), local_files_only=True, trust_remote_code=False
        )
        self.to(device)

    @property
    def device(self) -> torch.device:
        """Return where it computes."""
        device: torch.device = self.text_model.device
        return device

    def preprocess(self, inputs: list[dict[str, str]]) -> dict[str, torch.Tensor]:
        """Return texts as tokens, cut to the longest input, padded on the right: (texts, longest of them) each."""
        texts = [each["text"] for each in inputs]
        rows = self.tokenizer(texts, truncation=True, max_length=self.longest)["input_ids"]
        width = max(map(len, rows))
        padding = self.text_model.config.pad_token_id or 0
        return {
            "input_ids": torch.tensor([row + [padding] * (width - len(row)) for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
        }

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the features with `sentence_embedding`: (texts, dimensions)."""
        output = self.text_model(input_ids=features["input_ids"], attention_mask=features["attention_mask"])
        features["token_embeddings"] = output.last_hidden_state.float()
        for module in self.following:
            features = module(features)
        return features


def _text_model(model: Model, dtype: torch.dtype) -> Any:
    settings = json.loads((model.folder / "config.json").read_text(encoding="utf-8"))
    written = settings["text_config"] if model.architecture == COMPOSITE else settings
    try:
        kinds: Any = (transformers.EmbeddingGemma2TextConfig, transformers.EmbeddingGemma2TextModel)
    except AttributeError as error:
        raise ModelUnavailable(
            f"{model.name} needs a newer transformers than {transformers.__version__}: pip install -U transformers"
        ) from error
    config = kinds[0].from_dict(written)
    made, found = kinds[1].from_pretrained(
        None, config=config, state_dict=_weights(model, dtype), dtype=dtype, output_loading_info=True,
        ignore_mismatched_sizes=True,
    )  # fmt: skip
    sizes = [
        f"{name} is {'x'.join(map(str, there))} in the weights and {'x'.join(map(str, wanted))} by the configuration"
        for name, there, wanted in sorted(found["mismatched_keys"])
    ]
    refuse_misfits(model, missing=found["missing_keys"], extra=found["unexpected_keys"], sizes=sizes)
    return made.eval()


def _weights(model: Model, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return the tensors of the text part, without what stands before their names."""
    prefix = text_prefix(model.folder, model.architecture)
    assert prefix is not None  # the folder was read before
    entries = {name: entry for name, entry in stored(model.folder).items() if name.startswith(prefix)}
    odd = sorted({entry.dtype for entry in entries.values()} - _KINDS)
    if odd:
        raise ModelUnavailable(
            f"The weights of {model.name} are stored as {few(odd)}, which is not read here; 32-bit, bfloat16 and float16 are."
        )
    found = {}
    for file in sorted({entry.file for entry in entries.values()}):
        with safe_open(str(model.folder / file), framework="pt") as opened:
            for name in (name for name, entry in entries.items() if entry.file == file):
                found[name.removeprefix(prefix)] = opened.get_tensor(name).to(dtype)
    return found


def _following(folder: Path) -> list[torch.nn.Module]:
    """Return the modules behind the first, which must be the model itself."""
    first, *others = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    if first["type"].rpartition(".")[2] != "Transformer":
        raise ModelUnavailable(f"The first of the modules in modules.json is a {first['type']}, not a Transformer.")
    classes: list[Any] = [import_from_string(each["type"]) for each in others]
    return [
        kind.load(str(folder), subfolder=each["path"], local_files_only=True)
        for kind, each in zip(classes, others, strict=True)
    ]
