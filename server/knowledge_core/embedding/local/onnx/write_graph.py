"""Writes the two files beside this one: all-MiniLM-L6-v2 as a graph without its weights, and the reference's probe vectors.

    pip install onnx && python -m knowledge_core.embedding.local.onnx.write_graph

Run it when the graph is changed; the files are kept in the repository, so that nobody else needs `onnx`.

The graph is the forward pass of BERT (Devlin et al. 2019, arXiv:1810.04805) in the sizes of MiniLM, the mean over the
tokens, and the scaling to norm 1. What it leaves out and how it gets it:
- the table of words: the rows of a text's tokens are its input, because ONNX Runtime would copy the whole table;
- all other weights: they are named here as the safetensors file names them, and handed over when a session is made;
- transposing them: a Gemm takes a weight as torch stores it, (out, in).
"""

from __future__ import annotations

import sys
from math import prod
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from knowledge_core.embedding.local.onnx.minilm import EPSILON, GRAPH, HEADS, INNER, LAYERS, LONGEST, PROBE, WIDTH
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import MINILM, resolve

OPSET = 20  # the first with Gelu
IR_VERSION = 9  # of the file's format: old enough for every ONNX Runtime that knows the operators
MASKED = -1e9  # added to a score of a token that is padding: its share becomes 0 in float32


class Graph:
    """A graph that grows by one operation at a time; a value is known by its name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.stored: list[Any] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operation and return its result's name."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, values: list[float] | list[int], kind: int = TensorProto.INT64) -> str:
        """Add a list of numbers, which stands in the file."""
        self.stored.append(helper.make_tensor(name, kind, [len(values)], values))
        return name

    def weight(self, name: str, *shape: int) -> str:
        """Add a tensor whose numbers are handed over later: the file that is named for them does not exist."""
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", "absent"), ("offset", "0"), ("length", str(4 * prod(shape)))):
            tensor.external_data.add(key=key, value=value)
        self.stored.append(tensor)
        return name

    def dense(self, x: str, name: str, size: int, into: int) -> str:
        """Add x @ weight.T + bias."""
        return self.op(
            "Gemm", x, self.weight(f"{name}.weight", into, size), self.weight(f"{name}.bias", into), transB=1
        )

    def norm(self, x: str, name: str) -> str:
        """Add a layer normalisation."""
        gain, bias = self.weight(f"{name}.weight", WIDTH), self.weight(f"{name}.bias", WIDTH)
        return self.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=EPSILON)


def main() -> None:
    """Write both files."""
    GRAPH.write_bytes(written().SerializeToString())
    embedder = reference_embedder(resolve(MINILM), precision="float32", device="cpu")
    probe = embedder.contract.probe
    assert probe is not None
    np.save(PROBE, probe)
    sys.stdout.write(f"{GRAPH}: {GRAPH.stat().st_size} bytes\n{PROBE}: {PROBE.stat().st_size} bytes\n")


def written() -> Any:
    """Return the graph. Inputs: words (texts, tokens, width), mask (texts, tokens), 1 for a token; result (texts, width)."""
    graph = Graph()
    graph.constant("rows", [-1, WIDTH])
    graph.constant("by head", [0, 0, HEADS, WIDTH // HEADS])
    graph.constant("scale", [(WIDTH // HEADS) ** -0.5], TensorProto.FLOAT)
    for name, value in (("zero", 0), ("one", 1), ("two", 2)):
        graph.constant(name, [value])
    shape = graph.op("Shape", "words")
    bias = _bias(graph)
    x = graph.op("Reshape", _embedded(graph, shape), "rows")  # (texts * tokens, width)
    for layer in range(LAYERS):
        x = _layer(graph, x, f"encoder.layer.{layer}", shape, bias)
    _pooled(graph, graph.op("Reshape", x, shape))
    return _model(graph)


def _embedded(graph: Graph, shape: str) -> str:
    """Return the words plus where they stand plus the first type, normed: (texts, tokens, width)."""
    tokens = graph.op("Slice", shape, "one", "two")
    places = graph.op("Slice", graph.weight("embeddings.position_embeddings.weight", LONGEST, WIDTH), "zero", tokens)
    kind = graph.op("Slice", graph.weight("embeddings.token_type_embeddings.weight", 2, WIDTH), "zero", "one")
    return graph.norm(graph.op("Add", "words", graph.op("Add", places, kind)), "embeddings.LayerNorm")


def _bias(graph: Graph) -> str:
    """Return what is added to all scores: (texts, 1, 1, tokens)."""
    graph.constant("shown", [1.0], TensorProto.FLOAT)
    graph.constant("masked", [MASKED], TensorProto.FLOAT)
    hidden = graph.op("Mul", graph.op("Sub", "shown", "mask"), "masked")
    return graph.op("Unsqueeze", hidden, graph.constant("heads and queries", [1, 2]))


def _layer(graph: Graph, x: str, name: str, shape: str, bias: str) -> str:
    attended = graph.dense(_attention(graph, x, f"{name}.attention.self", shape, bias),
                           f"{name}.attention.output.dense", WIDTH, WIDTH)  # fmt: skip
    x = graph.norm(graph.op("Add", attended, x), f"{name}.attention.output.LayerNorm")
    inner = graph.op("Gelu", graph.dense(x, f"{name}.intermediate.dense", WIDTH, INNER))
    return graph.norm(graph.op("Add", graph.dense(inner, f"{name}.output.dense", INNER, WIDTH), x),
                      f"{name}.output.LayerNorm")  # fmt: skip


def _attention(graph: Graph, x: str, name: str, shape: str, bias: str) -> str:
    def heads(part: str, order: list[int]) -> str:
        made = graph.op("Reshape", graph.dense(x, f"{name}.{part}", WIDTH, WIDTH), shape)
        return graph.op("Transpose", graph.op("Reshape", made, "by head"), perm=order)

    query = graph.op("Mul", heads("query", [0, 2, 1, 3]), "scale")
    scores = graph.op("Add", graph.op("MatMul", query, heads("key", [0, 2, 3, 1])), bias)
    mixed = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), heads("value", [0, 2, 1, 3]))
    return graph.op("Reshape", graph.op("Transpose", mixed, perm=[0, 2, 1, 3]), "rows")


def _pooled(graph: Graph, x: str) -> None:
    """Add the mean over the tokens of each text, scaled to norm 1."""
    total = graph.op("ReduceSum", graph.op("Mul", x, graph.op("Unsqueeze", "mask", "two")), "one", keepdims=0)
    mean = graph.op("Div", total, graph.op("ReduceSum", "mask", "one", keepdims=1))
    graph.nodes.append(helper.make_node("LpNormalization", [mean], ["vectors"], axis=-1, p=2))


def _model(graph: Graph) -> Any:
    def value(name: str, *shape: str | int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    inputs = [value("words", "texts", "tokens", WIDTH), value("mask", "texts", "tokens")]
    made = helper.make_graph(graph.nodes, MINILM, inputs, [value("vectors", "texts", WIDTH)], graph.stored)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


if __name__ == "__main__":
    main()
