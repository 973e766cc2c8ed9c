"""The agent against an OpenAI-compatible server of another origin: `transformers serve`, with a tiny random model.

Nothing is fetched: the model (a two-layer Llama of random weights) and its tokenizer are made here. The model says
nonsense; what is shown is that the agent connects, streams, counts, and stops. Run it where `transformers[serving]` is
installed: python tests/interop/openai_server.py PYTHON_WITH_SERVING
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
WORDS = ["The quick brown fox jumps over the lazy dog.", "A solar panel turns sunlight into electricity."]


def make_model(folder: Path) -> None:
    """Write a random model of about 200,000 parameters with a byte-level tokenizer."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(WORDS, vocab_size=400, special_tokens=["<s>", "</s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=8192, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


@contextlib.contextmanager
def served(python: str, model: Path) -> Iterator[str]:
    """Yield the base URL of `transformers serve`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "transformers.cli.transformers", "serve", str(model), "--port", str(port)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen([*command, "--host", "127.0.0.1", "--device", "cpu"], env=environment)
    try:
        for _ in range(240):
            assert process.poll() is None, "the server ended"
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> int:
    python = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    with tempfile.TemporaryDirectory() as name:
        model, home = Path(name, "model"), Path(name, "home")
        make_model(model)
        environment = {**os.environ, "KNOWLEDGE_CORE_HOME": str(home), "HF_HUB_OFFLINE": "1"}
        notes = Path(name, "notes.md")
        notes.write_text("# Solar\n\n" + WORDS[1])
        kcore = [sys.executable, "-m", "knowledge_core.cli.main"]
        subprocess.run([*kcore, "index", str(notes), "--collection", "notes"], env=environment, check=True)
        agent = [sys.executable, "-c", "import sys; from knowledge_agent.cli import main; sys.exit(main())"]
        try:
            with served(python, model) as url:
                given = ["--api", "openai", "--base-url", url, "--model", str(model), "--answer-tokens", "24"]
                for way in (["--pipeline"], []):
                    asked = [*agent, *given, *way, "--json", "What does a solar panel do?"]
                    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
                    print(done.stderr, file=sys.stderr)
                    said = json.loads(done.stdout)
                    print(json.dumps({name: said[name] for name in ("answer", "mode", "usage", "stopped")}))
                    assert said["answer"], "nothing was streamed"
                    assert said["usage"]["output"] == 24
                    assert done.returncode == 1, "an answer cut at its most tokens is no success"
        finally:
            subprocess.run([*kcore, "stop"], env=environment, check=False)
    print("connects, streams and stops")
    return 0


if __name__ == "__main__":
    sys.exit(main())
