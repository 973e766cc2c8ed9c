"""The packaged MiniLM by ONNX Runtime: at once, without torch, and with the reference's vectors; in bulk by the faster."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from knowledge_core.embedding.local import engines
from knowledge_core.embedding.local.agreement import compared
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.local.lanes import keep_torch_to_its_share, share_cores
from knowledge_core.embedding.local.local_embedder import LocalEmbedder
from knowledge_core.embedding.local.onnx import at_once, beside, minilm, onnx_runner
from knowledge_core.embedding.local.verdicts import Verdicts
from knowledge_core.embedding.models.models import MINILM, resolve
from knowledge_core.embedding.tokens import Tokens
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task

pytest.importorskip("onnxruntime")

SHORT = [
    "",
    "a",
    "Where is the nearest library?",
    "Every word of this text counts until the model stops reading. " * 60,
    "図書館はどこですか 🎉 أين تقع أقرب مكتبة؟",
    "a\x00b half \ud83d of a pair \x07",
]


@pytest.fixture(scope="module")
def ours(minilm_folder) -> LocalEmbedder:
    return make_embedder(resolve(MINILM))


def test_minilm_gives_the_references_vectors_and_keeps_its_contract(ours, minilm_embedder):
    texts = [*SHORT, "word " * 100_000]
    assert compared(minilm_embedder.embed(texts, Task.QUERY), ours.embed(texts, Task.QUERY)).least >= 0.9999
    assert ours.engine == "onnxruntime float32"
    assert "agrees with sentence-transformers" in ours.engine_reason
    assert minilm_embedder.contract.differences(ours.contract) == []  # collections of the last release open


def test_a_text_has_the_same_vector_alone_beside_others_and_on_one_core(ours):
    alone = np.concatenate([ours.embed([text], Task.DOCUMENT) for text in SHORT])
    many = ours.embed(SHORT * 8, Task.DOCUMENT)  # several batches: threads of one core each
    np.testing.assert_allclose(many, np.tile(alone, (8, 1)), atol=1e-5)


def test_notes_are_indexed_and_searched_by_meaning_without_torch(minilm_folder, tmp_path):
    (tmp_path / "note.md").write_text("A solar panel turns sunlight into electricity.")
    script = (
        "import sys\n"
        "from knowledge_core.cli.main import main\n"
        f"assert main(['index', {str(tmp_path / 'note.md')!r}, '--in-process']) == 0\n"
        "assert main(['search', 'energy', '--mode', 'semantic', '--in-process']) == 0\n"
        "print('imported:', [name for name in ('torch', 'transformers', 'sentence_transformers') if name in sys.modules])\n"
    )
    environment = {**os.environ, "KNOWLEDGE_CORE_HOME": str(tmp_path / "home"), "HF_HUB_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "solar panel" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported: []"


@pytest.fixture
def by_trial(monkeypatch):
    """Let a runner of one number stand for what a trial would choose; return how often it was asked for."""
    asked = []
    until(lambda: not _loading())  # of an earlier test of this process, which would ask for one, too

    def choose(model, precision, device, verdicts):
        asked.append(precision)
        return Constant()

    monkeypatch.setattr(engines, "_choose_by_trial", choose)
    return asked


class Constant:
    """A runner that gives the same vector for every text, at once or after a while."""

    kind, precision, reason, on_processor = "constant", "bfloat16", "it is there", True

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def forward(self, texts):
        time.sleep(self.seconds)
        return np.eye(1, 384, dtype=np.float32).repeat(len(texts), axis=0)

    def most_tokens(self):
        return 512


def _gone(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


def _other_graph(monkeypatch, tmp_path):
    (tmp_path / "graph").write_bytes(b"no graph")
    monkeypatch.setattr(onnx_runner, "GRAPH", tmp_path / "graph")


def _no_graph(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_runner, "GRAPH", tmp_path / "absent")


def _wrong_numbers(monkeypatch, tmp_path):
    monkeypatch.setattr(at_once, "probe_of_reference", lambda: np.roll(minilm.probe_of_reference(), 1, axis=1))


def _other_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(minilm, "WORDS", "encoder.layer.0.output.dense.bias")


@pytest.mark.parametrize("broken", [_gone, _other_graph, _no_graph, _wrong_numbers, _other_weights])
def test_where_onnx_runtime_cannot_run_it_the_model_runs_as_before_and_the_log_says_why(
    broken, minilm_folder, by_trial, monkeypatch, tmp_path, caplog
):
    broken(monkeypatch, tmp_path)
    made = make_embedder(resolve(MINILM))
    made.load()
    assert (made.engine, by_trial) == ("constant bfloat16", ["auto"])
    (said,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert said.startswith(f"{MINILM} is not run by ONNX Runtime, but as before: ")


@pytest.mark.parametrize(("precision", "device"), [("bfloat16", "auto"), ("float16", "cpu"), ("auto", "cuda")])
def test_a_precision_or_device_that_onnx_runtime_lacks_is_left_to_others(precision, device, minilm_folder, by_trial):
    made = make_embedder(resolve(MINILM), precision=precision, device=device)
    made.load()
    assert made.engine == "constant bfloat16"


@pytest.fixture
def copied(minilm_folder, tmp_path):
    """Return a copy of the packaged model in a folder of the user's."""
    shutil.copytree(minilm_folder, tmp_path / "model")
    return tmp_path / "model"


def test_a_copy_of_the_published_model_runs_at_once(copied):
    made = make_embedder(resolve(str(copied)))
    made.load()
    assert made.engine == "onnxruntime float32"


def _edit(name, **changes):
    def edit(folder):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | changes))

    return edit


def _another_number(folder):
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\x00\x00\x00\x3f")


@pytest.mark.parametrize(
    "change",
    [
        _edit("config.json", hidden_act="relu"),
        _edit("config.json", num_attention_heads=6),
        _edit("config.json", layer_norm_eps=1e-5),
        _edit("1_Pooling/config.json", pooling_mode_cls_token=True, pooling_mode_mean_tokens=False),
        _edit("1_Pooling/config.json", pooling_mode_max_tokens=True),
        lambda folder: (folder / "modules.json").write_text((folder / "modules.json").read_text().replace("Norm", "Drop")),
        _another_number,
    ],
)  # fmt: skip
def test_another_model_of_these_sizes_is_left_to_a_trial(change, copied, by_trial):
    change(copied)
    made = make_embedder(resolve(str(copied)))
    made.load()
    assert made.engine == "constant bfloat16"


def test_damaged_weights_of_the_packaged_model_are_the_same_error_as_ever(copied, monkeypatch):
    monkeypatch.setattr("knowledge_core.embedding.models.models.packaged_folder", lambda: copied)
    _another_number(copied)
    with pytest.raises(ModelUnavailable, match=r"damaged: model\.safetensors"):
        make_embedder(resolve(MINILM)).load()


def until(reached):
    end = time.monotonic() + 30
    while not reached() and time.monotonic() < end:
        time.sleep(0.01)
    assert reached()


@pytest.fixture
def loaded(by_trial, monkeypatch, tmp_path):
    """Return what loads the model, to find another runner some times as fast, and embeds three notes one after the other.

    It returns the embedder, and what engine was told after each note.
    """
    monkeypatch.setattr(beside, "ENOUGH", 600)

    def load(ratio):
        monkeypatch.setattr(beside, "times_faster", lambda *_, **__: ratio)
        made = make_embedder(resolve(MINILM), verdicts=tmp_path / "engines.json")
        told = []
        for _ in range(3):
            made.embed(["a note about lighthouses " * 40] * 2, Task.DOCUMENT)  # 404 tokens
            until(lambda: not _loading())
            told.append(made.engine)
        return made, told

    return load


def test_bulk_goes_to_the_faster_runner_once_there_is_enough_and_queries_stay(loaded, ours, by_trial):
    both = "onnxruntime float32, in bulk constant bfloat16"
    for loads in (1, 2):  # what is remembered is that it is faster: it must be loaded all the same
        made, told = loaded(2.0 if loads == 1 else 0.0)
        assert (told, len(by_trial)) == (["onnxruntime float32", both, both], loads)
    assert made.embed(["a note about lighthouses " * 40] * 2, Task.DOCUMENT)[0, 0] == 1
    question = ["which lighthouses are kept in winter"]
    np.testing.assert_allclose(made.embed(question, Task.QUERY), ours.embed(question, Task.QUERY), atol=1e-5)


def test_a_runner_that_is_slower_in_bulk_is_tried_once_and_never_loaded_again(loaded, by_trial):
    for ratio in (0.5, 2.0):
        assert loaded(ratio)[1] == ["onnxruntime float32"] * 3
    assert len(by_trial) == 1


def _loading():
    return any(each.name == "bulk-engine" for each in threading.enumerate())


class Steady(Constant):
    def forward(self, texts, *, much=False):
        return super().forward(texts)

    def end_bulk(self):
        pass


def tokens(count):
    return [Tokens("", [1] * count)]


def test_notes_now_and_then_never_load_the_second_runner(monkeypatch):
    asked, now = [], [0.0]
    # Before it is made: a machine that runs for a day would see its clock go back by that.
    monkeypatch.setattr(beside.time, "monotonic", lambda: now[0])
    made = beside.Beside(Steady(), lambda: asked.append("once"))
    for _ in range(200):
        made.forward(tokens(beside.ENOUGH // 4))
        now[0] += 3 * beside.FORGOTTEN
    assert asked == []
    for _ in range(9):
        made.forward(tokens(beside.ENOUGH // 4))
    monkeypatch.undo()
    until(lambda: asked == ["once"])


@pytest.mark.parametrize(
    "error", [ImportError("No module named 'torch'"), ModelUnavailable("gone"), ZeroDivisionError()]
)
def test_where_no_second_runner_loads_the_first_goes_on_and_the_log_says_why(error, caplog):
    def find():
        raise error

    made = beside.Beside(Steady(), find)
    made.forward(tokens(beside.ENOUGH))
    until(lambda: caplog.records and not _loading())
    assert made.forward(tokens(beside.ENOUGH)).shape == (1, 384)
    assert (made.kind, len(caplog.records)) == ("constant", 1)


class Accelerator(Steady):
    """Takes one batch at a time, and says how many it had at once."""

    kind, on_processor = "accelerator", False

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0

    def forward(self, texts, *, much=False):
        self.now += 1
        self.most = max(self.most, self.now)
        time.sleep(0.02)
        self.now -= 1
        return super().forward(texts)


def test_an_accelerator_gets_one_batch_at_a_time_from_however_many_threads():
    second = Accelerator()
    made = beside.Beside(Steady(), lambda: second)
    made.forward(tokens(beside.ENOUGH))
    until(lambda: not _loading())
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: made.forward(tokens(beside.LARGE)), range(8)))
    assert second.most == 1


def test_an_accelerator_is_held_against_all_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(beside, "_times_faster", lambda model, second, first: 3.0)  # than on one core
    monkeypatch.setattr(beside, "cores_here", lambda: 4)
    model, verdicts = resolve(MINILM), Verdicts(tmp_path / "engines.json")
    assert beside.find_bulk(model, "a trial", Steady(), Accelerator, verdicts) is None


@pytest.mark.slow  # it imports torch
@pytest.mark.parametrize("seconds", [0, 1, 3])
def test_a_process_that_ends_while_the_engine_for_bulk_work_loads_ends_in_order(seconds, minilm_folder):
    script = (
        "import time\n"
        "from knowledge_core.embedding.local.engines import make_embedder\n"
        "from knowledge_core.embedding.local.onnx import beside\n"
        "from knowledge_core.embedding.models.models import resolve\n"
        "from knowledge_core.types import Task\n"
        "beside.ENOUGH = 10\n"
        f"make_embedder(resolve({MINILM!r})).embed(['a note about lighthouses'] * 4, Task.DOCUMENT)\n"
        f"time.sleep({seconds})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_torch_that_comes_late_computes_on_one_core_where_cores_are_shared():
    torch = pytest.importorskip("torch")
    default = torch.get_num_threads()

    def limited():
        keep_torch_to_its_share()
        return torch.get_num_threads()

    with ThreadPoolExecutor(2, initializer=share_cores) as shared, ThreadPoolExecutor(1) as alone:
        assert {future.result() for future in [shared.submit(limited) for _ in range(4)]} == {1}
        assert alone.submit(limited).result() == default
    assert torch.get_num_threads() == default


def test_the_graph_in_the_package_is_what_its_script_writes():
    pytest.importorskip("onnx")
    from knowledge_core.embedding.local.onnx.write_graph import written

    assert minilm.GRAPH.read_bytes() == written().SerializeToString()


def test_it_can_be_imported_after_the_storage_in_one_process():
    """USearch's library, loaded first, once ended a process that loaded ONNX Runtime's next."""
    work = "import knowledge_core.storage.vectors.graph, onnxruntime"
    assert subprocess.run([sys.executable, "-c", work], timeout=60).returncode == 0
