"""EmbeddingGemma's forward pass over packed tokens, on plain torch: read from top to bottom it explains the model.

The model (Gemma Team 2025, arXiv:2503.19786; as an embedder: Vera et al. 2025, arXiv:2509.20354) is a Gemma 3 decoder
whose attention looks both ways:

    tokens -> embedding table * sqrt(width) -> 24 layers -> RMS norm -> mean over the tokens -> dense 768 x 768

and a layer is, with a norm before and after each half,

    x += norm(attention(norm(x)))      3 query heads share 1 key/value head; q and k are normed, then rotated (RoPE)
    x += norm(down(gelu(gate(h)) * up(h)))  where h = norm(x)

Five layers of six see 256 tokens to each side, every sixth sees the whole text; each kind has a RoPE base of its own.

Rules kept here (those of `packing.py` hold, too):
- only the inputs of products are bfloat16, where that is asked for (trained models carry channels of 1e5 in the stream:
  float16 cannot hold them, bfloat16 can, with 3 digits);
- what can be multiplied together at load is: a norm's gain into the weight behind it, the score's scale into the gain
  of q, both dense layers and the last gain into one matrix;
- weights are memory-mapped; the embedding table, two thirds of all parameters, is neither copied nor converted;
- a folder that is not exactly this architecture is refused by `shape_of`: it is run by another engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowledge_core.embedding.local.packed import packing
from knowledge_core.embedding.local.packed.attention import Window, attended
from knowledge_core.embedding.local.packed.model_files import behind_the_mean, dense_folders, mapped, read_json
from knowledge_core.embedding.local.packed.packing import Packed, Run
from knowledge_core.embedding.local.packed.products import Linear
from knowledge_core.types import Vectors

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Shape:
    """The sizes of a Gemma 3 encoder."""

    width: int  # numbers per token in the residual stream
    heads: int  # query heads per layer
    head: int  # numbers per head
    epsilon: float  # added to the mean square in an RMS norm
    score_scale: float  # of the product of q and k
    window: int  # tokens that a sliding layer sees to each side
    sliding: tuple[bool, ...]  # one per layer: it sees the window only
    local_base: float  # RoPE base of the sliding layers
    global_base: float  # RoPE base of the others
    longest: int  # tokens of the longest text
    dense: tuple[str, ...]  # folders of the dense layers, in order


def shape_of(folder: Path, longest: int) -> Shape | None:
    """Return the sizes of the model in a folder; None where the model is not exactly of this file's architecture."""
    try:
        config = read_json(folder / "config.json")
        dense = dense_folders(folder)
        return _shape(config, longest, dense) if dense is not None and _is_gemma3_encoder(config) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_gemma3_encoder(config: dict[str, Any]) -> bool:
    wanted = {
        "model_type": "gemma3_text",
        "use_bidirectional_attention": True,
        "hidden_activation": "gelu_pytorch_tanh",
        "num_key_value_heads": 1,
    }
    absent = ("attention_bias", "attn_logit_softcapping", "rope_scaling")
    return all(config.get(key) == value for key, value in wanted.items()) and not any(map(config.get, absent))


def _shape(config: dict[str, Any], longest: int, dense: tuple[str, ...]) -> Shape | None:
    layers, pattern = config["num_hidden_layers"], config.get("_sliding_window_pattern", 6)
    kinds = config.get("layer_types") or [
        "full_attention" if (layer + 1) % pattern == 0 else "sliding_attention" for layer in range(layers)
    ]
    rope = config.get("rope_parameters") or {}
    local, whole = rope.get("sliding_attention") or {}, rope.get("full_attention") or {}
    if len(kinds) != layers or {each.get("rope_type", "default") for each in (local, whole)} != {"default"}:
        return None
    return Shape(
        width=config["hidden_size"],
        heads=config["num_attention_heads"],
        head=config["head_dim"],
        epsilon=config["rms_norm_eps"],
        score_scale=config["query_pre_attn_scalar"] ** -0.5,
        window=config["sliding_window"] // 2,  # the file has the whole width
        sliding=tuple(kind == "sliding_attention" for kind in kinds),
        local_base=local.get("rope_theta") or config.get("rope_local_base_freq") or 10_000.0,
        global_base=whole.get("rope_theta") or config.get("rope_theta") or 1_000_000.0,
        longest=longest,
        dense=dense,
    )


class Gemma3Encoder:
    """The weights, ready for products, and the forward pass. Any number of threads may call `forward` at once.

    folder: of the model. shape: by `shape_of`. precision: of the products, float32 or bfloat16.

    Raises:
        KeyError, RuntimeError, OSError, ValueError: the weights do not fit the shape, or are damaged.
    """

    def __init__(self, folder: Path, shape: Shape, precision: str) -> None:
        import torch

        self.shape = shape
        self._dtype = getattr(torch, precision)
        weights = mapped(folder, ("model.", ""), "norm.weight")
        self._table = weights("embed_tokens.weight")  # (vocabulary, width), a view of the file
        self._layers = [_Layer(weights, shape, number, self._dtype) for number in range(len(shape.sliding))]
        self._floor = packing.floor_of(shape.epsilon, shape.width)
        last = torch.diag(_gain(weights("norm.weight")) * math.sqrt(shape.width))
        self._last = behind_the_mean(folder, last, shape.dense)
        self._local = packing.rotations(shape.longest, shape.head, shape.local_base)
        self._global = packing.rotations(shape.longest, shape.head, shape.global_base)
        self._window = Window(shape.window, self._dtype)

    def forward(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """Return one vector per text, in the texts' order: (n, dimensions) float32, not scaled to norm 1.

        texts: token ids, special tokens included; 1 to `shape.longest` per text.
        """
        return packing.vectors_of(texts, self._pooled, self._last)

    def _pooled(self, packed: Packed) -> Tensor:
        """Return the mean of each text's tokens after the last layer: (n, width)."""
        local, whole = self._local[packed.places], self._global[packed.places]
        x = self._table[packed.ids].float() * math.sqrt(self.shape.width)  # (tokens, width)
        for layer, sliding in zip(self._layers, self.shape.sliding, strict=True):
            layer.add_to(x, packed.runs, local if sliding else whole, self._window if sliding else None)
        return packed.means(x.div_(packing.lengths_of(x, self._floor)))


class _Layer:
    """One of the 24 layers: attention, then the gated feed-forward network, each between two norms."""

    def __init__(self, weights: Callable[[str], Tensor], shape: Shape, number: int, dtype: Any) -> None:
        import torch

        self._shape, self._dtype = shape, dtype

        def named(name: str) -> Tensor:
            return weights(f"layers.{number}.{name}.weight")

        root = math.sqrt(shape.width)
        self._floor = packing.floor_of(shape.epsilon, shape.width)
        self._head_floor = packing.floor_of(shape.epsilon, shape.head)
        before, inner = (_gain(named(f"{name}_layernorm")) * root for name in ("input", "pre_feedforward"))
        qk = torch.cat([named("self_attn.q_proj"), named("self_attn.k_proj")])
        qkv = torch.cat([packing.interleaved(qk, shape.heads + 1), named("self_attn.v_proj")])
        self._qkv = Linear(qkv * before, dtype)
        self._out = Linear(named("self_attn.o_proj"), dtype)
        self._gate = Linear(named("mlp.gate_proj") * inner, dtype)
        self._up = Linear(named("mlp.up_proj") * inner, dtype)
        self._down = Linear(named("mlp.down_proj"), dtype)
        self._after_attention = _gain(named("post_attention_layernorm")) * root
        self._after_network = _gain(named("post_feedforward_layernorm")) * root
        q, k = (packing.interleaved(_gain(named(f"self_attn.{name}_norm")), 1) * math.sqrt(shape.head) for name in "qk")
        self._qk_gain = torch.stack([q * shape.score_scale] * shape.heads + [k])

    def add_to(self, x: Tensor, runs: Sequence[Run], rotation: Tensor, window: Window | None) -> None:
        """Add the output of both halves to the residual stream. x: (tokens, width) float32, changed in place."""
        seen = self._attended(self._qkv(self._normed(x)), runs, rotation, window)
        packing.add_normed(x, self._out(seen), self._after_attention, self._floor)
        h = self._normed(x)
        packing.add_normed(x, self._down(self._up.times(h, self._gate.gelu(h))), self._after_network, self._floor)

    def _normed(self, x: Tensor) -> Tensor:
        return (x / packing.lengths_of(x, self._floor)).to(self._dtype)

    def _attended(self, qkv: Tensor, runs: Sequence[Run], rotation: Tensor, window: Window | None) -> Tensor:
        """Return, per token, the weighted mean of the values that it attends to: (tokens, heads * head)."""
        parts = qkv.view(len(qkv), -1, self._shape.head)  # (tokens, heads + 2, head)
        qk = parts[:, :-1].float()
        qk.div_(packing.lengths_of(qk, self._head_floor)).mul_(self._qk_gain)
        packing.rotate(qk, rotation)
        qk = qk.to(self._dtype)
        return attended(qk[:, :-1], qk[:, -1:], parts[:, -1:], runs, window)


def _gain(weight: Tensor) -> Tensor:
    return 1.0 + weight.float()  # Gemma 3 stores what a gain differs from 1
