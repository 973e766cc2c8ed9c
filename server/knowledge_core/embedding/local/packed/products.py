"""Products of a matrix of tokens with one weight, by the fastest operation of this machine's torch that gives the right numbers.

torch has oneDNN's products over weights that were laid out once ("packed"). They are private operations, absent from some
builds (macOS) and free to change: they are compared with plain products once, and plain ones replace them where they fail.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor

FASTER: Final = 1.15
"""How many times as fast as float32 a precision must be to be chosen: less is within the noise of a busy machine."""


class Linear:
    """A product with one weight, by the fastest operation of this machine's torch that gives the right numbers."""

    def __init__(self, weight: Tensor, dtype: Any) -> None:
        self._weight = weight.to(dtype).contiguous()
        self._packed: Tensor | None = None
        if packs(dtype):
            self._packed = _pack(self._weight)
            del self._weight

    def __call__(self, x: Tensor) -> Tensor:
        """Return x @ weight.T."""
        import torch

        if self._packed is None:
            return torch.nn.functional.linear(x, self._weight)
        return _product(x, self._packed)

    def gelu(self, x: Tensor) -> Tensor:
        """Return the gelu, in its tanh form, of x @ weight.T; in bfloat16, the gelu by the error function.

        The two differ by 5e-4 at most, a fraction of bfloat16's own rounding of numbers above .25, and oneDNN computes the
        second in half the time: on a processor with AMX, 620 rows of 2,048 took .6 ms beside a product of .9 ms, the
        first 1.4 ms. The cosines to float32 were the same to the fifth digit.
        """
        import torch

        if self._packed is None:
            gate = torch.nn.functional.linear(x, self._weight)
            return torch.nn.functional.gelu(gate.float(), approximate="tanh").to(x.dtype)
        form = "none" if x.dtype is torch.bfloat16 else "tanh"
        gated: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, None, "gelu", [], form)
        return gated

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """Return (x @ weight.T) * other. other: of the product's shape and dtype."""
        import torch

        if self._packed is None:
            return torch.nn.functional.linear(x, self._weight).mul_(other)
        product: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, self._packed, None, "mul")
        return product


_PACKS: dict[Any, bool] = {}


def packs(dtype: Any) -> bool:
    """Say whether torch has oneDNN's products over packed weights and they agree with plain ones; tried once per dtype.

    They are private operations of torch: absent from some builds (macOS), and free to change.
    """
    if dtype not in _PACKS:
        _PACKS[dtype] = _probe(dtype)
    return _PACKS[dtype]


def _probe(dtype: Any) -> bool:
    import torch

    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(96, 64, generator=generator) / 8).to(dtype)
    tolerance = 1e-5 if dtype is torch.float32 else 0.05  # bfloat16 has 8 bits; values are of size 1 to 4
    try:
        packed = _pack(weight)
        for rows in (1, 16, 50):
            x = torch.randn(rows, 64, generator=generator).to(dtype)
            plain = torch.nn.functional.linear(x.float(), weight.float())
            forms = ["tanh", "none"][: 1 + (dtype is torch.bfloat16)]
            gelu, *others = (torch.ops.mkldnn._linear_pointwise(x, packed, None, "gelu", [], form) for form in forms)
            wanted = torch.nn.functional.gelu(plain, approximate="tanh")
            times = torch.ops.mkldnn._linear_pointwise.binary(x, gelu, packed, None, "mul")
            pairs = (
                (_product(x, packed), plain),
                *((each, wanted) for each in (gelu, *others)),
                (times, plain * wanted),
            )
            if not all(torch.allclose(one.float(), two, atol=tolerance, rtol=0.02) for one, two in pairs):
                return False
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return False
    return True


def _pack(weight: Tensor) -> Tensor:
    import torch

    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, 512)
    return packed


def _product(x: Tensor, packed: Tensor) -> Tensor:
    import torch

    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
    return result


def bfloat16_is_faster() -> bool:
    """Say whether this machine multiplies bfloat16 faster than float32, `FASTER` at least; measured in some 20 ms."""
    import torch

    with torch.inference_mode():
        return times_faster(_a_product(torch.bfloat16), _a_product(torch.float32)) >= FASTER


def _a_product(dtype: Any) -> Callable[[], object]:
    import torch

    x, linear = torch.ones(512, 768, dtype=dtype), Linear(torch.ones(768, 768, dtype=dtype), dtype)
    return lambda: linear(x)


def times_faster(one: Callable[[], object], other: Callable[[], object], rounds: int = 5) -> float:
    """Return how many times as fast as `other` `one` is. They take turns; the best round of each counts."""
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for number, call in enumerate((one, other)):
            began = time.perf_counter()
            call()
            best[number] = min(best[number], time.perf_counter() - began)
    return best[1] / best[0]
