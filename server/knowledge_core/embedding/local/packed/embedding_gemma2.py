"""EmbeddingGemma 2's forward pass over packed tokens, on plain torch: the sibling of `gemma3.py`, which is read first.

    tokens -> embedding table * sqrt(width) -> 24 layers -> RMS norm -> 768 x 512 -> mean over the tokens

and a layer is, with plain gains in its norms and E the row of the embedding table times sqrt(width),

    x += norm(attention(norm(x)))      4 query heads share 2 key/value heads; q, k and v are normed, q and k then rotated
    x += norm(down(gelu(gate(h)) * up(h)))  where h = norm(x)
    x += norm(back(gelu(into(x)) * p))      where p = norm(own @ E / sqrt(width)): the layer's own input, from the tokens alone
    x *= the layer's scalar

Five layers of six see 512 tokens to each side, every sixth sees the whole text, by heads twice as wide that share one
key/value head; each kind has a RoPE base of its own. The scores are not scaled.

Rules kept here, beside those of `gemma3.py`:
- no scale is multiplied in that can be left out: the residual stream is kept divided by all factors so far (the root of
  the width, then each layer's scalar), which gains, `into` and the norms' floors make up for;
- nor is a norm's factor per row where another norm follows a product without anything else between: only the floor of
  the second remembers it. So q, k and v are made of the stream as it is, and p of the table's row;
- the last projection is linear, so it follows the mean;
- of the composite, only the tensors of the text part are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from knowledge_core.embedding.local.packed import packing
from knowledge_core.embedding.local.packed.attention import Window, attended
from knowledge_core.embedding.local.packed.model_files import behind_the_mean, dense_folders, mapped, read_json
from knowledge_core.embedding.local.packed.packing import Packed, Run
from knowledge_core.embedding.local.packed.products import Linear
from knowledge_core.embedding.models.model_folder import COMPOSITE, TEXT_ALONE, text_prefixes
from knowledge_core.types import Vectors

if TYPE_CHECKING:
    from torch import Tensor

_SLIDING, _FULL = "sliding_attention", "full_attention"
_SMALLEST: Final = 1e-12
"""The product of scalars must be at least this, and at most its inverse: beyond, epsilons would leave float32's range."""


@dataclass(frozen=True)
class Kind:
    """What a layer of a kind has. heads: key/value heads. head: numbers per head. base: of its RoPE."""

    sliding: bool
    heads: int
    head: int
    base: float


@dataclass(frozen=True)
class Shape:
    """The sizes of an EmbeddingGemma 2 text model."""

    width: int  # numbers per token in the residual stream
    heads: int  # query heads per layer
    own: int  # numbers of a layer's own input per token
    epsilon: float  # added to the mean square in an RMS norm
    window: int  # tokens that a sliding layer sees to each side
    layers: tuple[Kind, ...]
    longest: int  # tokens of the longest text
    prefixes: tuple[str, ...]  # that the names of the weights may have
    dense: tuple[str, ...]  # folders of the dense layers, in order


def shape_of(folder: Path, longest: int) -> Shape | None:
    """Return the sizes of the model in a folder; None where the model is not exactly of this file's architecture."""
    try:
        config = read_json(folder / "config.json")
        layout = config["model_type"]
        dense = dense_folders(folder)
        text = config["text_config"] if layout == COMPOSITE else config
        layers = _layers(text) if dense is not None and _is_known(text) else None
        return _shape(text, layers, longest, text_prefixes(layout), dense or ()) if layers else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_known(text: dict[str, Any]) -> bool:
    wanted = {"model_type": TEXT_ALONE, "hidden_activation": "gelu_pytorch_tanh"}
    absent = ("attention_bias", "attn_logit_softcapping", "rope_scaling", "final_logit_softcapping")
    return all(text.get(key) == value for key, value in wanted.items()) and not any(map(text.get, absent))


def _layers(text: Mapping[str, Any]) -> tuple[Kind, ...] | None:
    """Return the layers; None where one is of a kind that is not known here."""
    kinds, rope = text["layer_types"], text["rope_parameters"]
    special = {int(number): settings for number, settings in text["per_layer_config"].items()}
    plain = all(
        rope[kind]["rope_type"] == "default" and rope[kind].keys() <= {"rope_type", "rope_theta"} for kind in rope
    )
    usual = {"head_dim": text["head_dim"], "num_key_value_heads": text["num_key_value_heads"]}
    if len(kinds) != text["num_hidden_layers"] or not plain or {*kinds} - {_SLIDING, _FULL} or kinds[-1] != _FULL:
        return None
    if any(settings.keys() - usual.keys() for settings in special.values()):
        return None
    sizes = [usual | special.get(number, {}) for number in range(len(kinds))]
    layers = tuple(
        Kind(kind == _SLIDING, size["num_key_value_heads"], size["head_dim"], float(rope[kind]["rope_theta"]))
        for kind, size in zip(kinds, sizes, strict=True)
    )
    even = all(text["num_attention_heads"] % each.heads == 0 and each.head % 2 == 0 for each in layers)
    return layers if even else None


def _shape(
    text: Mapping[str, Any], layers: tuple[Kind, ...], longest: int, prefixes: tuple[str, ...], dense: tuple[str, ...]
) -> Shape:
    return Shape(
        width=text["hidden_size"],
        heads=text["num_attention_heads"],
        own=text["hidden_size_per_layer_input"],
        epsilon=text["rms_norm_eps"],
        window=text["sliding_window"],  # a radius already, unlike Gemma 3's
        layers=layers,
        longest=longest,
        prefixes=prefixes,
        dense=dense,
    )


class EmbeddingGemma2Encoder:
    """The weights, ready for products, and the forward pass. Any number of threads may call `forward` at once.

    folder: of the model. shape: by `shape_of`. precision: of the products, float32 or bfloat16.

    Raises:
        KeyError, RuntimeError, OSError, ValueError: the weights do not fit the shape, or are damaged.
    """

    def __init__(self, folder: Path, shape: Shape, precision: str) -> None:
        import torch

        self.shape = shape
        self._dtype = getattr(torch, precision)
        weights = mapped(folder, shape.prefixes, "embed_tokens.weight")
        self._table = weights("embed_tokens.weight")  # (vocabulary, width), a view of the file
        self._layers: list[_Layer] = []
        scale = math.sqrt(shape.width)
        for number in range(len(shape.layers)):
            self._layers.append(_Layer(weights, shape, number, scale, self._dtype))
            scale *= weights(f"layers.{number}.layer_scalar").item()
            if not _SMALLEST <= scale <= 1 / _SMALLEST:
                raise ValueError(f"the layers' scalars multiply to {scale}")
        self._floor = packing.floor_of(shape.epsilon, shape.width) / scale
        last = weights("embedding_projection.weight").float() * weights("norm.weight").float()
        self._last = behind_the_mean(folder, last * math.sqrt(shape.width), shape.dense)
        kinds = {*shape.layers}
        self._rotations = {kind: packing.rotations(shape.longest, kind.head, kind.base) for kind in kinds}
        self._window = Window(shape.window, self._dtype)

    def forward(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """Return one vector per text, in the texts' order: (n, dimensions) float32, not scaled to norm 1.

        texts: token ids, special tokens included; 1 to `shape.longest` per text.
        """
        return packing.vectors_of(texts, self._pooled, self._last)

    def _pooled(self, packed: Packed) -> Tensor:
        """Return the mean of each text's tokens after the last layer: (n, width)."""
        rotations = {kind: table[packed.places] for kind, table in self._rotations.items()}
        rows = self._table[packed.ids]
        x, tokens = (
            rows.float(),
            rows.to(self._dtype),
        )  # (tokens, width): the stream, and what makes the layers' own inputs
        for layer, kind in zip(self._layers, self.shape.layers, strict=True):
            layer.add_to(x, tokens, packed.runs, rotations[kind], self._window if kind.sliding else None)
        return packed.means(x.div_(packing.lengths_of(x, self._floor)))


class _Layer:
    """One of the 24 layers: attention, the gated feed-forward network, and the gated input of its own.

    scale: what the stream is divided by in this layer.
    """

    def __init__(self, weights: Callable[[str], Tensor], shape: Shape, number: int, scale: float, dtype: Any) -> None:
        kind, root = shape.layers[number], math.sqrt(shape.width)
        self._kind, self._heads, self._dtype = kind, shape.heads, dtype
        self._floors = _Floors(shape, kind, scale)

        def named(name: str) -> Tensor:
            return weights(f"layers.{number}.{name}.weight").float()

        inner = named("pre_feedforward_layernorm") * root
        self._qkv = Linear(_qkv(named, shape.heads, kind) * named("input_layernorm"), dtype)
        self._out = Linear(named("self_attn.o_proj") * math.sqrt(kind.head), dtype)  # the root is the norm's of v
        self._gate = Linear(named("mlp.gate_proj") * inner, dtype)
        self._up = Linear(named("mlp.up_proj") * inner, dtype)
        self._down = Linear(named("mlp.down_proj"), dtype)
        own = weights("ple.per_layer_model_projection.weight")[number * shape.own : (number + 1) * shape.own]
        self._own = Linear(own, dtype)
        self._into = Linear(named("ple_block.per_layer_input_gate") * scale, dtype)
        gain = weights("ple.per_layer_projection_norm.weight").float()
        self._back = Linear(named("ple_block.per_layer_projection") * gain, dtype)
        self._after_attention = named("post_attention_layernorm") * (root / scale)
        self._after_network = named("post_feedforward_layernorm") * (root / scale)
        self._after_own = named("ple_block.post_per_layer_input_norm") * (root / scale)
        self._qk_gain = _qk_gain(named, shape.heads, kind)

    def add_to(self, x: Tensor, tokens: Tensor, runs: Sequence[Run], rotation: Tensor, window: Window | None) -> None:
        """Add the output of all three parts to the residual stream.

        x: (tokens, width) float32, changed in place. tokens: the same rows of the embedding table.
        """
        floor = self._floors.row
        packing.add_normed(x, self._out(self._attended(x, runs, rotation, window)), self._after_attention, floor)
        h = (x / packing.lengths_of(x, self._floors.stream)).to(self._dtype)
        packing.add_normed(x, self._down(self._up.times(h, self._gate.gelu(h))), self._after_network, floor)
        own = self._own(tokens)
        # p is `own` divided by its lengths; the norm behind takes that out again.
        floor = packing.lengths_of(own.float(), self._floors.own) * self._floors.row_by_own
        packing.add_normed(x, self._back(self._into.gelu(x.to(self._dtype)).mul_(own)), self._after_own, floor)

    def _attended(self, x: Tensor, runs: Sequence[Run], rotation: Tensor, window: Window | None) -> Tensor:
        """Return, per token, the weighted mean of the values that it attends to: (tokens, heads * head)."""
        heads, turned = self._heads, self._heads + self._kind.heads
        qkv = self._qkv(x.to(self._dtype)).float().view(len(x), -1, self._kind.head)  # (tokens, heads, head)
        floor = packing.lengths_of(x, self._floors.stream) * self._floors.head_by_row
        qkv.div_(packing.lengths_of(qkv, floor[:, None]))
        qkv[:, :turned].mul_(self._qk_gain)
        packing.rotate(qkv[:, :turned], rotation)
        ready = qkv.to(self._dtype)
        return attended(ready[:, :heads], ready[:, heads:turned], ready[:, turned:], runs, window)


class _Floors:
    """The floors of a layer's norms: of its rows, of the stream, which is divided by `scale`, and of own inputs.

    A norm that stands behind another one, of which only the lengths are known, has these times its own floor over the root
    of the first's width.
    """

    def __init__(self, shape: Shape, kind: Kind, scale: float) -> None:
        self.row = packing.floor_of(shape.epsilon, shape.width)
        self.stream = self.row / scale
        self.own = packing.floor_of(shape.epsilon, shape.own)
        self.row_by_own = self.row / math.sqrt(shape.own)
        self.head_by_row = packing.floor_of(shape.epsilon, kind.head) / math.sqrt(shape.width)


def _qkv(named: Callable[[str], Tensor], heads: int, kind: Kind) -> Tensor:
    """Return the weights of q, k and v, one below the other, the pairs of q and k side by side."""
    import torch

    q = packing.interleaved(named("self_attn.q_proj"), heads)
    k = packing.interleaved(named("self_attn.k_proj"), kind.heads)
    return torch.cat([q, k, named("self_attn.v_proj")])


def _qk_gain(named: Callable[[str], Tensor], heads: int, kind: Kind) -> Tensor:
    """Return the gains of q and k, times the root of the head: (heads + key/value heads, head)."""
    import torch

    q, k = (packing.interleaved(named(f"self_attn.{name}_norm"), 1) * math.sqrt(kind.head) for name in "qk")
    return torch.stack([q] * heads + [k] * kind.heads)
