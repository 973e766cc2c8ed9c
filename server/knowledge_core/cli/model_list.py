"""`kcore models`: the models on this machine, which one is used, and with --check, what a lower precision costs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.grouping import lines_of
from knowledge_core.cli.output import command, connected, file_name, show_as

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "models", "show the embedding models on this machine, and which one is used",
        "kcore models\nkcore models --json\nkcore models --check\n"
        "kcore models --check google/embeddinggemma-2 --texts passages.txt", connected(_models),
    )  # fmt: skip
    made.description = (made.description or "") + (
        "\n\n--check loads the model in this process, as the reference in float32 and in each precision: minutes for a large one."
    )
    made.add_argument(
        "--check",
        nargs="?",
        const="",
        metavar="MODEL",
        help="measure what each precision loses (default: the one used)",
    )
    made.add_argument(
        "--texts",
        type=file_name,
        metavar="FILE",
        help="lines to check with (default: 200 passages that ship with kcore)",
    )


async def _models(connection: Connection, arguments: argparse.Namespace) -> int:
    result = await connection.ask("models")
    if arguments.check is not None:
        return _check(arguments, result)
    show_as(arguments, result, "\n".join(_lines(result)) or "No embedding model is on this machine.")
    return 0 if result["resolved"]["model"] else 1


def _lines(result: dict[str, Any]) -> list[str]:
    used = result["resolved"]["model"]
    lines = []
    for model in result["installed"]:
        shorter = f" (or {', '.join(map(str, model['sizes'][1:]))})" if model["sizes"][1:] else ""
        where = "packaged" if model["packaged"] else model["folder"]
        about = [
            f"{model['dimensions']} dimensions{shorter}, {model['max_length']} tokens, {model['bytes'] / 1e6:,.0f} MB, {where}",
            f"licence {model['licence']}" if model["licence"] else "",
            f"in memory: {model['engine']}" if model["engine"] else "",
            f"used by {', '.join(model['collections'])}" if model["collections"] else "",
        ]
        mark = "  <- used for new collections" if model["name"] == used else ""
        lines.append(f"{model['name']}: {'; '.join(filter(None, about))}{mark}")
    lines += [f"{name}: cannot be used: {fault}" for name, fault in result["unusable"].items()]
    for name, collections in result["elsewhere"].items():
        where = "see above" if name in result["unusable"] else "not on this machine"
        lines.append(f"{name}: {where}; used by {', '.join(collections)}")
    if result["remote"]:
        lines.append(f"remote: {result['remote']['model']} at {result['remote']['host']}")
    lines.append(f"engine {result['engine']}, precision {result['precision']} (embedding.* in the configuration)")
    return [*lines, *filter(None, [result["resolved"]["notice"]])]


def _check(arguments: argparse.Namespace, result: dict[str, Any]) -> int:
    from knowledge_core.embedding.local.fidelity import compare_precisions
    from knowledge_core.embedding.models.models import resolve
    from knowledge_core.errors import ModelUnavailable

    name = arguments.check or result["resolved"]["model"]
    if not name:
        raise ModelUnavailable(result["resolved"]["notice"])
    folders = {model["name"]: model["folder"] for model in result["installed"]}
    if name.startswith("remote:"):
        raise ModelUnavailable(f"{name} runs elsewhere: there is no reference here to compare it with.")
    model = resolve(folders.get(name, name))
    texts = lines_of(arguments.texts) if arguments.texts else []
    print(f"kcore: checking {name}; this loads it several times ...", file=sys.stderr)
    rows = []
    for each in compare_precisions(model, ("float32", "bfloat16"), texts):
        print(f"kcore: {each.precision} is measured", file=sys.stderr)
        found = each.found
        rows.append(
            {
                "precision": each.precision, "engine": each.engine, "least_cosine": found.least, "mean_cosine": found.mean,
                "ten_nearest_same": found.overlap, "texts": found.texts, "good_enough": each.chosen,
                "texts_a_second": round(each.texts_per_second, 1),
            }
        )  # fmt: skip
    lines = [
        f"{row['precision']}: {row['engine']}, cosine to float32 of sentence-transformers {row['mean_cosine']:.5f} (least "
        f"{row['least_cosine']:.5f}), ten nearest {row['ten_nearest_same']:.3f} the same, {row['texts_a_second']} texts/s: "
        + ("good enough for `auto`" if row["good_enough"] else "not good enough for `auto`")
        for row in rows
    ]
    show_as(arguments, {"model": name, "checked": rows}, "\n".join([f"{name}, {rows[0]['texts']} texts", *lines]))
    return 0
