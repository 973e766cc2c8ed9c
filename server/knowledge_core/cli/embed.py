"""`kcore embed`: turn texts into vectors, and compare them on the terminal or write them to a file."""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from knowledge_core.cli.grouping import lines_of
from knowledge_core.cli.output import ProgressLine, Usage, command, connected, file_name, show
from knowledge_core.files import replacing

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection

TEXTS_PER_REQUEST = 256  # to the owner
CHARACTERS_PER_REQUEST = 500_000  # a few MB of JSON; a line to the owner may have 64 MiB
FORMATS = ("npy", "jsonl", "base64")


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "embed", "turn texts into vectors, or compare them",
        'kcore embed "a cat" "a kitten" "a lawnmower"\n'
        "kcore embed --lines questions.txt --task query --output questions.npy\n"
        "kcore embed --files notes/*.md --task document --output notes.jsonl\n"
        "cat lines.txt | kcore embed - --task document --format base64 > vectors.txt", connected(_embed),
    )  # fmt: skip
    made.description = (made.description or "") + (
        "\n\nnpy is an array of float32, (texts, dimensions); jsonl one JSON list a line; base64 one line a text, of "
        "little-endian\nfloat32. Every vector has norm 1. A file that is there is replaced, once the new one is whole."
    )
    made.add_argument("texts", nargs="*", metavar="TEXT", help="texts (- reads the lines of standard input)")
    made.add_argument("--lines", type=file_name, metavar="FILE", help="one text a line")
    made.add_argument("--files", nargs="+", type=file_name, metavar="FILE", help="one text a file")
    made.add_argument("--task", default="similarity", metavar="TASK", help="what for: query, document, similarity ...")
    made.add_argument("--title", metavar="TEXT", help="title of the texts, with --task document")
    made.add_argument("--dimensions", type=int, metavar="N", help="shorter vectors, where the model has them")
    made.add_argument("--collection", metavar="NAME", help="with the model of this collection")
    made.add_argument(
        "--output", type=file_name, metavar="FILE", help="write vectors there; its ending says the format"
    )
    made.add_argument("--format", choices=FORMATS, help="of the vectors (default: by the file's ending, jsonl)")
    made.add_argument("--vectors", action="store_true", help="print vectors: the same as --format jsonl")


async def _embed(connection: Connection, arguments: argparse.Namespace) -> int:
    texts = _texts(arguments)
    form = _format(arguments)
    if form is None:
        given = {
            "texts": texts,
            "task": arguments.task,
            "collection": arguments.collection,
            "dimensions": arguments.dimensions,
        }
        return show(arguments, await connection.call("embed", given))
    unread = [0, 0, 0]  # texts, tokens, longest input
    with _written(arguments.output, form) as out, ProgressLine() as line:
        done = 0
        for part in _slices(texts):
            made = await connection.ask(
                "vectors", texts=part, task=arguments.task, title=arguments.title, dimensions=arguments.dimensions,
                collection=arguments.collection,
            )  # fmt: skip
            _write(out, form, made["vectors"], made["dimensions"], first=done == 0, total=len(texts))
            done += len(part)
            unread = [unread[0] + made["cut_texts"], unread[1] + made["cut_tokens"], made["max_length"]]
            line(done, len(texts), f"{done} of {len(texts)} texts")
    if unread[0]:
        print(
            f"kcore: {unread[0]} of {len(texts)} texts were longer than {unread[2]} tokens; {unread[1]} tokens at their ends "
            "were not read",
            file=sys.stderr,
        )
    return 0


def _texts(arguments: argparse.Namespace) -> list[str]:
    given = [bool(arguments.texts), arguments.lines is not None, bool(arguments.files)]
    if sum(given) != 1:
        raise Usage("give texts (- for standard input), --lines FILE or --files FILE..., one of them.")
    if arguments.files:
        return [_whole(file) for file in arguments.files]
    if arguments.lines is not None:
        texts = lines_of(arguments.lines)
    else:
        texts = lines_of("-") if arguments.texts == ["-"] else list(arguments.texts)
    if not texts:
        raise Usage("there is no text to embed: every line is blank.")
    return texts


def _whole(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"{file} cannot be read: {error}.") from None


def _format(arguments: argparse.Namespace) -> str | None:
    """Return the format of the vectors; None where the texts are to be compared instead."""
    if arguments.output is None:
        if arguments.format == "npy":
            raise Usage("npy is no text: name a file with --output.")
        return arguments.format or ("jsonl" if arguments.vectors else None)
    ending = Path(arguments.output).suffix.removeprefix(".")
    if arguments.format is None and ending not in FORMATS:
        raise Usage(f"--output: the ending of {arguments.output} says no format. Use .npy or .jsonl, or --format.")
    return arguments.format or ending


def _slices(texts: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for text in texts:
        if part and (len(part) == TEXTS_PER_REQUEST or size + len(text) > CHARACTERS_PER_REQUEST):
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text)
    yield part


@contextlib.contextmanager
def _written(output: str | None, form: str) -> Iterator[IO[bytes]]:
    """Yield a stream for the vectors; an output file gets its name only once the block has ended without an error."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with replacing(Path(output), suffix=".part") as out:
            yield out
    except OSError as error:
        raise Usage(f"--output: {output} cannot be written: {error.strerror or error}.") from None


def _write(out: IO[bytes], form: str, vectors: Sequence[str], dimensions: int, *, first: bool, total: int) -> None:
    """Append vectors to a stream.

    vectors: each the base64 of little-endian float32. first: nothing was written yet. total: the vectors of all calls.
    """
    if form == "base64":
        out.writelines(vector.encode() + b"\n" for vector in vectors)
        return
    rows = [base64.b64decode(vector) for vector in vectors]
    if form == "npy":
        import numpy as np

        if first:
            header = {"descr": "<f4", "fortran_order": False, "shape": (total, dimensions)}
            np.lib.format.write_array_header_1_0(out, header)
        out.writelines(rows)
        return
    from array import array

    for row in rows:
        numbers = array("f", row)
        if sys.byteorder == "big":
            numbers.byteswap()
        out.write(json.dumps([round(number, 8) for number in numbers]).encode() + b"\n")
