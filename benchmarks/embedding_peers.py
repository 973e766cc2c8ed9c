"""Other engines of the same model, each in a process of its own: ONNX Runtime, OpenVINO, egemma2.

`benchmarks.embedding` starts them; one that is not installed, does not know the model or dies is a reason in its table, not
an error. A process per engine, because one of them can take the whole process along: OpenVINO with bfloat16 over float
weights ended with SIGFPE on an Intel with AMX.

How each is run:
- ONNX Runtime: the whole model exported by torch, in float32, and with int8 weights and activations (`quantize_dynamic`, per
  channel, products with constants only). Needs onnxruntime, onnx and onnxscript.
- OpenVINO: the same file, weights compressed to int8 by nncf, activations in bfloat16. Needs openvino and nncf besides.
- egemma2: the second generation only, float32 in Rust. Needs egemma2.
Texts are sorted by length and run in batches of 32, as `SentenceTransformer.encode` makes them.

    python -m benchmarks.embedding_peers MODEL_FOLDER      # which of them run here, and how near they are to each other
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from knowledge_core.types import Vectors

BATCH = 32  # texts, as in SentenceTransformer.encode
Encode = Callable[[list[str]], Vectors]


class PeerFailed(Exception):
    """A peer cannot be measured here; the message says why, in a few words."""


class Peer:
    """One engine in its own process, called like a function.

    seconds: that the latest call took inside the process, without the way there and back. load_seconds: from its start
    to where it can embed, the export of the model included.

    Raises:
        PeerFailed: it is not installed, or does not run this model. A call may raise it, too.
    """

    def __init__(self, name: str, folder: Path, scratch: Path) -> None:
        self.name, self.seconds = name, 0.0
        self._log: IO[str] = (scratch / f"{name.replace(' ', '-')}.log").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.embedding_peers", str(folder), "--serve", name, "--scratch", str(scratch)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        self.load_seconds: float = self._answer()["seconds"]

    def __call__(self, texts: list[str]) -> Vectors:
        """Return the vectors of texts, prompts included in the texts: (n, dimensions) float32."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer says what became of it
            self._process.stdin.write(json.dumps({"texts": texts}) + "\n")
            self._process.stdin.flush()
        answer = self._answer()
        self.seconds = answer["seconds"]
        return _decoded(answer["vectors"], len(texts))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def peak_bytes(self) -> int:
        """Return the most memory that the process has had, in bytes; 0 where the system does not say."""
        with contextlib.suppress(OSError):
            said = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
            return int(said.split("VmHWM:")[1].split()[0]) * 1024
        return 0

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"failed": self._end()}
        if "failed" in answer:
            self.close()
            raise PeerFailed(answer["failed"])
        return dict(answer)

    def _end(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        said = self._log.read().strip().splitlines()
        return f"ended with {code}: {said[-1][:200] if said else 'said nothing'}"


@contextlib.contextmanager
def peers(folder: Path, scratch: Path) -> Iterator[tuple[dict[str, Peer], dict[str, str]]]:
    """Yield the peers that run a model here by name, and why the others do not."""
    running: dict[str, Peer] = {}
    failed: dict[str, str] = {}
    try:
        for name in PEERS:
            try:
                running[name] = Peer(name, folder, scratch)
            except PeerFailed as error:
                failed[name] = str(error)
        yield running, failed
    finally:
        for peer in running.values():
            peer.close()


def _serve(name: str, folder: Path, scratch: Path) -> None:
    """Answer requests on stdin until it ends; nothing else may write to stdout, which libraries do."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=out, flush=True)

    began = time.perf_counter()
    try:
        engine = PEERS[name](folder, scratch)
        engine(["a first text"])
    except Exception as error:  # noqa: BLE001  # whatever another library raises is the reason in the table
        say({"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"})
        return
    say({"seconds": time.perf_counter() - began})
    for line in sys.stdin:
        texts = json.loads(line)["texts"]
        began = time.perf_counter()
        vectors = engine(texts)
        say({"seconds": time.perf_counter() - began, "vectors": _encoded(vectors)})


def _encoded(vectors: Vectors) -> str:
    return base64.b64encode(np.ascontiguousarray(vectors, np.float32).tobytes()).decode()


def _decoded(text: str, rows: int) -> Vectors:
    vectors: Vectors = np.frombuffer(base64.b64decode(text), np.float32).reshape(rows, -1)
    return vectors


def _in_batches(run: Callable[[dict[str, np.ndarray]], Vectors], folder: Path) -> Encode:
    """Return what tokenises texts and runs them, the long ones first, in batches padded to their longest text."""
    from knowledge_core.embedding.models.models import resolve
    from knowledge_core.embedding.tokens import open_tokenizer

    model = resolve(str(folder))
    tokenizer = open_tokenizer(model)
    tokenizer.enable_truncation(model.max_length)
    tokenizer.enable_padding()

    def encode(texts: list[str]) -> Vectors:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        rows: list[Vectors] = []
        for start in range(0, len(order), BATCH):
            found = tokenizer.encode_batch([texts[i] for i in order[start : start + BATCH]])
            ids, masks = [each.ids for each in found], [each.attention_mask for each in found]
            rows.append(
                run({"input_ids": np.array(ids, np.int64), "attention_mask": np.array(masks, np.int64)}).astype(
                    np.float32
                )
            )
        vectors: Vectors = np.concatenate(rows)[np.argsort(order, kind="stable")]
        return vectors

    return encode


def _whole(folder: Path) -> Any:
    """Return the model from tokens to vectors in float32 as one torch module, as the reference loads it."""
    import torch

    from knowledge_core.embedding.models.model_folder import COMPOSITE
    from knowledge_core.embedding.models.models import resolve

    model = resolve(str(folder))
    if model.architecture == COMPOSITE:
        from knowledge_core.embedding.local.text_part import TextPart

        loaded: Any = TextPart(model, torch.float32, "cpu")
    else:
        from sentence_transformers import SentenceTransformer

        loaded = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = loaded

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.model({"input_ids": input_ids, "attention_mask": attention_mask})[
                "sentence_embedding"
            ]
            return found

    return Whole().eval()


def _rms_norm(x: Any, shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """`torch.nn.functional.rms_norm`, written out: the exporter does not know it."""
    found = x * (x.pow(2).mean(-1, keepdim=True) + (eps or 0.0)).rsqrt()
    return found if weight is None else found * weight


def _onnx_file(folder: Path, scratch: Path) -> Path:
    """Return the exported model, exported once for both precisions."""
    from unittest import mock

    import torch

    file = scratch / "peer.onnx"
    if file.exists():
        return file
    example = torch.ones((2, 7), dtype=torch.int64)
    sizes = {0: torch.export.Dim("texts", min=1, max=512), 1: torch.export.Dim("tokens", min=2, max=8_192)}
    with torch.inference_mode(), mock.patch("torch.nn.functional.rms_norm", _rms_norm):
        torch.onnx.export(
            _whole(folder), (example, example.clone()), str(file), input_names=["input_ids", "attention_mask"],
            dynamic_shapes=(sizes, sizes), dynamo=True, external_data=True, verbose=False,
        )  # fmt: skip
    return file


def _onnx_session(file: Path, folder: Path) -> Encode:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return _in_batches(lambda inputs: np.asarray(session.run(None, inputs)[0]), folder)


def _onnx_float32(folder: Path, scratch: Path) -> Encode:
    import onnxruntime  # noqa: F401  # before the export, which takes minutes

    return _onnx_session(_onnx_file(folder, scratch), folder)


def _onnx_int8(folder: Path, scratch: Path) -> Encode:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain, quantised = scratch / "peer-plain.onnx", scratch / "peer-int8.onnx"
    model = onnx.load(str(_onnx_file(folder, scratch)))
    del model.graph.value_info[
        :
    ]  # shapes that the exporter noted before it turned weights round; they are inferred anew
    onnx.save(model, str(plain), save_as_external_data=True, location="peer-plain.data")
    quantize_dynamic(
        str(plain), str(quantised), weight_type=QuantType.QInt8, per_channel=True,
        op_types_to_quantize=["MatMul"], use_external_data_format=True, extra_options={"MatMulConstBOnly": True},
    )  # fmt: skip
    return _onnx_session(quantised, folder)


def _openvino(folder: Path, scratch: Path) -> Encode:
    import nncf
    import openvino

    # From the exported file: OpenVINO's own way from torch fails with torch 2.13 ("unordered_map::at").
    model = openvino.Core().read_model(str(_onnx_file(folder, scratch)))
    model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    hints = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(model, "CPU", hints)
    return _in_batches(lambda inputs: np.asarray(compiled(inputs)[0]), folder)


_PROCESSORS: dict[str, dict[str, object]] = {
    "feature_extractor": {
        "frame_length_ms": 20.0, "hop_length_ms": 10.0, "min_frequency": 0.0, "max_frequency": 8000.0, "preemphasis": 0.0,
        "preemphasis_htk_flavor": True, "fft_overdrive": False, "dither": 0.0, "input_scale_factor": 1.0,
        "mel_floor": 1e-3, "per_bin_mean": None, "per_bin_stddev": None,
    },
    "image_processor": {"image_mean": [0, 0, 0], "image_std": [1, 1, 1]},
    "video_processor": {
        "image_mean": [0, 0, 0], "image_std": [1, 1, 1], "num_frames": 32, "fps": 1.0, "do_sample_frames": True,
        "return_metadata": False,
    },
}  # fmt: skip
"""What egemma2 wants to read about pictures and sound before it embeds a text, where a random model's folder lacks it
(transformers' defaults)."""


def _with_processor(folder: Path, made: Path) -> Path:
    """Return a folder with links to a model's files and a processor's configuration that egemma2 reads."""
    made.mkdir()
    for file in folder.iterdir():
        (made / file.name).symlink_to(file)
    name = "processor_config.json"
    given = json.loads((folder / name).read_text(encoding="utf-8")) if (folder / name).exists() else {}
    (made / name).unlink(missing_ok=True)
    completed = {part: {**usual, **given.get(part, {})} for part, usual in _PROCESSORS.items()}
    (made / name).write_text(json.dumps({**given, **completed}), encoding="utf-8")
    return made


def _egemma2(folder: Path, scratch: Path) -> Encode:
    from knowledge_core.embedding.models.models import resolve

    program = shutil.which("egemma2", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise ModuleNotFoundError("No program named egemma2")
    if not resolve(str(folder)).second_generation:
        raise ValueError("it reads EmbeddingGemma 2 only")
    threads, folder = str(os.cpu_count() or 1), _with_processor(folder, scratch / "egemma2")
    served = subprocess.Popen(
        [program, "--device", "cpu", "--threads", threads, "--small-threads", threads, "--model-dir", str(folder), "serve"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def encode(texts: list[str]) -> Vectors:
        assert served.stdin is not None
        assert served.stdout is not None
        served.stdin.write(json.dumps({"id": 1, "input": texts, "encoding_format": "base64"}) + "\n")
        served.stdin.flush()
        answer = json.loads(served.stdout.readline() or '{"error": "it ended"}')
        if "data" not in answer:
            raise RuntimeError(str(answer.get("error", answer))[:200])
        return np.stack([_decoded(each["embedding"], 1)[0] for each in answer["data"]])

    return encode


PEERS: dict[str, Callable[[Path, Path], Encode]] = {
    "ONNX Runtime float32": _onnx_float32,
    "ONNX Runtime int8": _onnx_int8,
    "OpenVINO int8 weights, bfloat16": _openvino,
    "egemma2": _egemma2,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="MODEL_FOLDER")
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(arguments.serve, arguments.folder, arguments.scratch)
        return
    texts = ["a lighthouse on the northern coast", "the keeper wrote down every ship that passed in the winter of 1911"]
    with tempfile.TemporaryDirectory() as scratch, peers(arguments.folder, Path(scratch)) as (running, failed):
        first: Vectors | None = None
        for name, peer in running.items():
            vectors = peer(texts)
            first = vectors if first is None else first
            near = float((vectors * first).sum(axis=1).min())
            print(f"{name}: ready after {peer.load_seconds:.1f} s, {peer.seconds * 1e3:.1f} ms for two texts, cosine to the "
                  f"first {near:.5f}, {peer.peak_bytes() / 1e6:.0f} MB")  # fmt: skip
        for name, why in failed.items():
            print(f"{name}: skipped ({why})")


if __name__ == "__main__":
    main()
