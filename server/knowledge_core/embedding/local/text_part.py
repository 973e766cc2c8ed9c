"""The text part of EmbeddingGemma 2, from the composite in which the model is published or from the text model alone.

sentence-transformers loads the composite as a model of texts, pictures and sounds, and needs the libraries for all
three. Only texts are embedded here, so the parts are put together one by one: the text part's class from transformers,
its weights from the safetensors files, tensor by tensor (the bytes of the picture and sound towers are never read), the
tokenizer, and last the modules that modules.json names, from sentence-transformers.

Rules kept here:
- every weight comes from the files and every tensor of the text part is used, or the model is refused;
- nothing in the folder is run as code.
Imports torch: import this module only where a model is loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from sentence_transformers.util import import_from_string

from knowledge_core.embedding.local.misfits import refuse_misfits
from knowledge_core.embedding.models.model_folder import COMPOSITE, Model, text_prefix
from knowledge_core.embedding.models.safetensors_headers import few, stored
from knowledge_core.errors import ModelUnavailable

_PLAIN = {"F32", "BF16", "F16", "F64"}  # dtypes of plain numbers; quantised ones could be read only with their scales


class TextPart(torch.nn.Module):
    """Texts to vectors, called like a `SentenceTransformer`: `preprocess`, then the object itself.

    dtype: of the weights and products of the text part; the modules behind it compute in float32.
    """

    def __init__(self, model: Model, dtype: torch.dtype, device: str) -> None:
        super().__init__()
        self.max_seq_length = model.max_length
        self.text_model = _text_model(model, dtype)
        self.following = torch.nn.ModuleList(_following(model.folder)).float()  # exact: these modules are small
        # A chat template in the folder is not applied: texts are read as they are.
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(model.folder), local_files_only=True, trust_remote_code=False
        )
        self.to(device)

    @property
    def device(self) -> torch.device:
        """Return the device that it computes on."""
        device: torch.device = self.text_model.device
        return device

    def preprocess(self, inputs: list[dict[str, str]]) -> dict[str, torch.Tensor]:
        """Return texts as tokens, cut to the longest input and padded on the right, and the mask of what is no padding.

        inputs: {"text": string} per text. Both tensors: (texts, tokens of the longest text) int64.
        """
        texts = [each["text"] for each in inputs]
        rows = self.tokenizer(texts, truncation=True, max_length=self.max_seq_length)["input_ids"]
        width = max(map(len, rows))
        padding = self.text_model.config.pad_token_id or 0
        return {
            "input_ids": torch.tensor([row + [padding] * (width - len(row)) for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
        }

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the features with `sentence_embedding` added: (texts, dimensions) float32."""
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
    """Return the tensors of the text part by their names in the text model, without the composite's prefix."""
    prefix = text_prefix(model.folder, model.architecture)
    assert prefix is not None  # the folder was read before
    entries = {name: entry for name, entry in stored(model.folder).items() if name.startswith(prefix)}
    odd = sorted({entry.dtype for entry in entries.values()} - _PLAIN)
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
    """Return the modules behind the first, which must be the transformer itself."""
    first, *others = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    if first["type"].rpartition(".")[2] != "Transformer":
        raise ModelUnavailable(f"The first of the modules in modules.json is a {first['type']}, not a Transformer.")
    classes: list[Any] = [import_from_string(each["type"]) for each in others]
    return [
        kind.load(str(folder), subfolder=each["path"], local_files_only=True)
        for kind, each in zip(classes, others, strict=True)
    ]
