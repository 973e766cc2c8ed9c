"""EmbeddingGemma's forward pass over packed tokens, on plain torch: read from top to bottom it explains the model.

The model (Gemma Team 2025, arXiv:2503.19786; as an embedder: Vera et al. 2025, arXiv:2509.20354) is a Gemma 3 decoder
whose attention looks both ways:

    tokens -> embedding table * sqrt(width) -> 24 layers -> RMS norm -> mean over the tokens -> dense 768 x 768

and a layer is, with a norm before and after each half,

    x += norm(attention(norm(x)))      3 query heads share 1 key/value head; q and k are normed, then rotated (RoPE)
    x += norm(down(gelu(gate(h)) * up(h)))  where h = norm(x)

Five layers of six see 256 tokens to each side, every sixth sees the whole text; each kind has a RoPE base of its own.

Rules kept here:
- texts lie one behind the other in one matrix of tokens: no product computes padding, and only attention, which runs
  over runs of texts of equal length, knows where a text ends;
- the residual stream, norms and rotations are float32; only the inputs of products are bfloat16, where that is asked
  for (trained models carry channels of 1e5 in the stream: float16 cannot hold them, bfloat16 can, with 3 digits);
- what can be multiplied together at load is: a norm's gain into the weight behind it, the score's scale into the gain
  of q, both dense layers and the last gain into one matrix;
- weights are memory-mapped; the embedding table, two thirds of all parameters, is neither copied nor converted;
- a folder that is not exactly this architecture is refused by `shape_of`: it is run by the reference engine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from knowledge_core.embedding.local.packed.products import Linear
from knowledge_core.types import Vectors

if TYPE_CHECKING:
    from torch import Tensor

_POOLING: Final = {"pooling_mode_mean_tokens": True, "pooling_mode": "mean"}
_STEP: Final = 16
"""The number of tokens is rounded up to a multiple of this with rows that nobody reads. oneDNN prepares its products once
per number of rows, which makes a first pass 10 to 40 % slower (measured on 2 cores); beyond 256 tokens the unread rows
cost a sixteenth at most."""


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
        config = _json(folder / "config.json")
        dense = _dense_folders(folder)
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


def _dense_folders(folder: Path) -> tuple[str, ...] | None:
    """Return the folders of the dense layers between mean pooling and normalisation; None for any other sequence."""
    modules = [(each["type"].rpartition(".")[2], each["path"]) for each in _json(folder / "modules.json")]
    kinds = [kind for kind, _ in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[-1] != "Normalize" or {*kinds[2:-1]} - {"Dense"}:
        return None
    pooling = _json(folder / modules[1][1] / "config.json")
    modes = {key for key, value in pooling.items() if key.startswith("pooling_mode") and value}
    if len(modes) != 1 or any(pooling[key] != _POOLING.get(key) for key in modes):
        return None
    dense = tuple(path for _, path in modules[2:-1])
    plain = all(
        not config.get("bias", True) and config["activation_function"].endswith("Identity")
        for config in (_json(folder / path / "config.json") for path in dense)
    )
    return dense if plain and pooling.get("include_prompt", True) else None


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


class Gemma3Encoder:
    """The weights, ready for products, and the forward pass. Any number of threads may call `forward` at once.

    folder: of the model. shape: by `shape_of`. precision: of the products, float32 or bfloat16.

    Raises:
        KeyError, RuntimeError, OSError, safetensors.SafetensorError: the weights do not fit the shape, or are damaged.
    """

    def __init__(self, folder: Path, shape: Shape, precision: str) -> None:
        import torch

        self.shape = shape
        self._dtype = getattr(torch, precision)
        weights = _mapped(folder)
        self._table = weights("embed_tokens.weight")  # (vocabulary, width), a view of the file
        self._layers = [_Layer(weights, shape, number, self._dtype) for number in range(len(shape.sliding))]
        self._dense = _folded_dense(folder, shape, _gain(weights("norm.weight")))
        self._local = _rotations(shape, shape.local_base)
        self._global = _rotations(shape, shape.global_base)

    def forward(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """Return one vector per text, in the texts' order: (n, dimensions) float32, not scaled to norm 1.

        texts: token ids, special tokens included; 1 to `shape.longest` per text.
        """
        import torch

        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        with torch.inference_mode():
            pooled = self._pooled([texts[i] for i in order])
            vectors: Vectors = torch.nn.functional.linear(pooled, self._dense).numpy()
        result = np.empty_like(vectors)
        result[order] = vectors
        return result

    def _pooled(self, texts: list[Sequence[int]]) -> Tensor:
        """Return the mean of each text's tokens after the last layer: (n, width). texts: shortest first."""
        import torch

        runs = _runs([len(text) for text in texts])
        ids = [token for text in texts for token in text]
        places = [place for text in texts for place in range(len(text))]
        unread = -len(ids) % _STEP
        at = torch.tensor(places + [0] * unread)
        local, whole = (_rotation(table, at) for table in (self._local, self._global))
        x = self._table[torch.tensor(ids + [0] * unread)].float() * math.sqrt(self.shape.width)  # (tokens, width)
        masks = {run.length: _window_mask(self.shape, run.length, self._dtype) for run in runs}
        for layer, sliding in zip(self._layers, self.shape.sliding, strict=True):
            layer.add_to(x, local if sliding else whole, runs, masks if sliding else {})
        x = _normed(x, self.shape.epsilon)
        means = [x[run.start : run.end].view(run.texts, run.length, -1).mean(1) for run in runs]
        return torch.cat(means)


class _Layer:
    """One of the 24 layers: attention, then the gated feed-forward network, each between two norms."""

    def __init__(self, weights: Callable[[str], Tensor], shape: Shape, number: int, dtype: Any) -> None:
        import torch

        self._shape, self._dtype = shape, dtype

        def named(name: str) -> Tensor:
            return weights(f"layers.{number}.{name}.weight")

        before, inner = _gain(named("input_layernorm")), _gain(named("pre_feedforward_layernorm"))
        qkv = torch.cat([named(f"self_attn.{name}_proj") for name in "qkv"])
        self._qkv = Linear(qkv * before, dtype)
        self._out = Linear(named("self_attn.o_proj"), dtype)
        self._gate = Linear(named("mlp.gate_proj") * inner, dtype)
        self._up = Linear(named("mlp.up_proj") * inner, dtype)
        self._down = Linear(named("mlp.down_proj"), dtype)
        self._after_attention = _gain(named("post_attention_layernorm"))
        self._after_network = _gain(named("post_feedforward_layernorm"))
        q, k = _gain(named("self_attn.q_norm")) * shape.score_scale, _gain(named("self_attn.k_norm"))
        self._qk_gain = torch.cat([q.expand(shape.heads, -1), k[None]])  # (heads + 1, head)

    def add_to(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], runs: Sequence[Run], masks: dict[int, Tensor | None]
    ) -> None:
        """Add the output of both halves to the residual stream. x: (tokens, width) float32, changed in place."""
        epsilon = self._shape.epsilon
        attended = self._attended(self._qkv(_normed(x, epsilon).to(self._dtype)), rotation, runs, masks)
        x.add_(_normed(self._out(attended).float(), epsilon, self._after_attention))
        h = _normed(x, epsilon).to(self._dtype)
        inner = self._gate.gelu_times(h, self._up(h))  # (tokens, intermediate)
        x.add_(_normed(self._down(inner).float(), epsilon, self._after_network))

    def _attended(
        self, qkv: Tensor, rotation: tuple[Tensor, Tensor], runs: Sequence[Run], masks: dict[int, Tensor | None]
    ) -> Tensor:
        """Return, per token, the weighted mean of the values that it attends to: (tokens, heads * head)."""
        import torch

        heads, head = self._shape.heads, self._shape.head
        parts = qkv.view(len(qkv), heads + 2, head)
        qk = _rotated(_normed(parts[:, :-1].float(), self._shape.epsilon, self._qk_gain), rotation).to(self._dtype)
        result = torch.zeros((len(qkv), heads * head), dtype=self._dtype)
        for run in runs:
            rows = slice(run.start, run.end)
            # One key/value head serves all query heads, so the heads are only more queries, and no head is copied.
            q = qk[rows, :-1].reshape(run.texts, 1, run.length * heads, head)
            k = qk[rows, -1].reshape(run.texts, 1, run.length, head)
            v = parts[rows, -1].reshape(run.texts, 1, run.length, head)
            seen = torch.nn.functional.scaled_dot_product_attention(q, k, v, masks.get(run.length), scale=1.0)
            result[rows] = seen.reshape(run.texts * run.length, heads * head)
        return result


@dataclass(frozen=True)
class Run:
    """Texts of equal length that lie one behind the other: rows `start` to `end` of the matrix of tokens."""

    start: int
    texts: int
    length: int

    @property
    def end(self) -> int:
        """Return the row behind the last one."""
        return self.start + self.texts * self.length


def _runs(lengths: Sequence[int]) -> list[Run]:
    """Return the runs of equal lengths that follow each other.

    >>> _runs([3, 3, 5])
    [Run(start=0, texts=2, length=3), Run(start=6, texts=1, length=5)]
    """
    runs: list[Run] = []
    for length, group in groupby(lengths):
        runs.append(Run(runs[-1].end if runs else 0, len(list(group)), length))
    return runs


def _normed(x: Tensor, epsilon: float, gain: Tensor | None = None) -> Tensor:
    """Return rows divided by the root of their mean square, times the gain (Zhang & Sennrich 2019, arXiv:1910.07467)."""
    import torch

    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scaled = x * torch.rsqrt(size.square_().div_(x.shape[-1]).add_(epsilon))
    return scaled if gain is None else scaled.mul_(gain)


def _rotations(shape: Shape, base: float) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of every place's angles: (longest, head / 2) each (Su et al. 2021, arXiv:2104.09864)."""
    import torch

    frequencies = 1.0 / base ** (torch.arange(0, shape.head, 2, dtype=torch.float) / shape.head)
    angles = torch.outer(torch.arange(shape.longest, dtype=torch.float), frequencies)
    return angles.cos(), angles.sin()


def _rotation(table: tuple[Tensor, Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    return table[0][at][:, None], table[1][at][:, None]  # (tokens, 1, head / 2)


def _rotated(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pair of each value of the first half and its partner of the second. x: (tokens, heads, head)."""
    import torch

    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    turned = torch.empty_like(x)
    half = x.shape[-1] // 2
    torch.mul(first, cosine, out=turned[..., :half]).addcmul_(second, sine, value=-1)
    torch.mul(second, cosine, out=turned[..., half:]).addcmul_(first, sine)
    return turned


def _window_mask(shape: Shape, length: int, dtype: Any) -> Tensor | None:
    """Return what is added to the scores so that a token sees only its window; None where the window holds the text."""
    import torch

    if length <= shape.window + 1:
        return None
    places = torch.arange(length)
    far = (places[:, None] - places[None]).abs() > shape.window
    mask = torch.zeros((length, length), dtype=dtype).masked_fill_(far, -torch.inf)
    return mask.repeat_interleave(shape.heads, dim=0)  # one row per query head of a token


# -- weights -----------------------------------------------------------------------------------------------------------


def _mapped(folder: Path) -> Callable[[str], Tensor]:
    """Return a function from a weight's name to the weight, a view of the mapped file."""
    from safetensors import safe_open

    file: Any = safe_open(str(folder / "model.safetensors"), framework="pt")
    prefix = "model." if "model.norm.weight" in file.keys() else ""  # noqa: SIM118  # the file is no mapping

    def weight(name: str) -> Tensor:
        try:
            found: Tensor = file.get_tensor(prefix + name)
        except Exception as error:  # the library has an error class of its own, made in Rust
            raise KeyError(name) from error
        return found

    return weight


def _gain(weight: Tensor) -> Tensor:
    return 1.0 + weight.float()  # Gemma stores what a gain differs from 1


def _folded_dense(folder: Path, shape: Shape, gain: Tensor) -> Tensor:
    """Return the last norm's gain and the dense layers as one matrix: (dimensions, width) float32."""
    import torch
    from safetensors.torch import load_file

    matrix = torch.diag(gain.double())
    for path in shape.dense:
        matrix = load_file(folder / path / "model.safetensors")["linear.weight"].double() @ matrix
    return matrix.float().contiguous()
