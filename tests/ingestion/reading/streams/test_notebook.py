"""Notebooks: prose as it is, code with its language, what it printed; no pictures, no HTML."""

from __future__ import annotations

import json
from pathlib import Path

from ingestion_material import checked_chunks, count_words
from read_by_name import read, reason

PICTURE = "iVBORw0KGgo" * 100


def markdown(source: str) -> dict[str, object]:
    return {"cell_type": "markdown", "metadata": {}, "source": source.splitlines(keepends=True)}


def code(source: str, *outputs: dict[str, object]) -> dict[str, object]:
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": list(outputs), "execution_count": 1}


def result(**data: object) -> dict[str, object]:
    return {"output_type": "execute_result", "data": {name.replace("_", "/", 1): value for name, value in data.items()}}


def printed(text: str) -> dict[str, object]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def notebook(*cells: dict[str, object], **about: object) -> str:
    about = {"kernelspec": {"language": "Python"}, **about}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": cells})


def test_prose_stays_and_code_is_fenced_in_its_language_with_what_it_printed(tmp_path: Path) -> None:
    cells = (
        markdown("# The *Title* #\n\n- a\n  - b"),
        code("x = 1\nx\n", printed("one\n"), result(text_plain=["array([", "1])"])),
    )
    document = read(tmp_path, "a.ipynb", notebook(*cells))
    assert document.title == "The Title"
    assert document.text == "# The *Title* #\n\n- a\n  - b\n\n```python\nx = 1\nx\n```\n\n```\none\narray([1])\n```"
    assert document.metadata == {"format": "ipynb", "language": "python"}
    assert document.media_type == "text/markdown"


def test_pictures_widgets_pages_and_names_of_objects_are_left_out(tmp_path: Path) -> None:
    cells = (
        markdown(f"See ![](data:image/png;base64,{PICTURE}) here."),
        code("a", result(image_png=PICTURE, text_plain="<Figure size 640x480>")),
        code("b", result(text_plain="[<matplotlib.lines.Line2D at 0x10f9c7fd0>]")),
        code("c", result(text_html="<table><tr><td>HTMLWORD</table>")),
        code(
            "d",
            {
                "output_type": "display_data",
                "data": {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "IntSlider()"},
            },
        ),
    )
    document = read(tmp_path, "a.ipynb", notebook(*cells))
    assert document.text == "See ![]() here.\n\n" + "\n\n".join(f"```python\n{name}\n```" for name in "abcd")


def test_an_error_is_its_last_line_and_progress_its_last_state(tmp_path: Path) -> None:
    error = {
        "output_type": "error",
        "ename": "ValueError",
        "evalue": "no \x1b[31msuch\x1b[0m thing",
        "traceback": ["LONG"],
    }
    text = read(tmp_path, "a.ipynb", notebook(code("f()", printed("10%\r50%\r100%\nend\r\n"), error))).text
    assert text == "```python\nf()\n```\n\n```\n100%\nend\nValueError: no such thing\n```"


def test_what_a_cell_printed_is_bounded_and_how_it_failed_is_said(tmp_path: Path) -> None:
    error = {"output_type": "error", "ename": "E", "evalue": "v"}
    text = read(
        tmp_path,
        "a.ipynb",
        notebook(code("f()", printed("a line\n" * 9_000), printed("more"), error), markdown("after")),
    ).text
    assert len(text) < 3_000
    assert text.endswith("a line\n…\nE: v\n```\n\nafter")


def test_the_third_format_is_read_too(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Old"]},
        {
            "cell_type": "code",
            "language": "ruby",
            "input": "puts 1",
            "outputs": [{"output_type": "pyout", "text": ["1"]}],
        },
        {"cell_type": "code", "input": "f", "outputs": [{"output_type": "pyerr", "ename": "E", "evalue": "v"}]},
        {"cell_type": "raw", "source": "as it is"},
    ]
    content = json.dumps({"nbformat": 3, "metadata": {"name": "Named"}, "worksheets": [{"cells": cells}]})
    document = read(tmp_path, "a.ipynb", content)
    assert document.title == "Named"
    assert (
        document.text
        == "## Old\n\n```ruby\nputs 1\n```\n\n```\n1\n```\n\n```\nf\n```\n\n```\nE: v\n```\n\n```\nas it is\n```"
    )


def test_the_title_is_what_the_notebook_says_else_its_leading_first_level_heading(tmp_path: Path) -> None:
    assert (
        read(tmp_path, "a.ipynb", notebook(markdown("# Other"), title="Told", authors=[{"name": "Ann"}])).title
        == "Told"
    )
    assert read(tmp_path, "b.ipynb", notebook(markdown("## Second"), markdown("# First"))).title == "b.ipynb"
    assert read(tmp_path, "c.ipynb", notebook(code("# a comment"))).title == "c.ipynb"
    raw = {"cell_type": "raw", "source": "---\ntitle: Of Quarto\nauthor: Ann\n---"}
    document = read(tmp_path, "d.ipynb", notebook(raw, markdown("text")))
    assert (document.title, document.metadata["author"]) == ("Of Quarto", "Ann")


def test_no_cell_swallows_the_next(tmp_path: Path) -> None:
    cells = (markdown("# One\n```\nopen"), code("s = '''\n```\n'''"), markdown("# Two\nend"))
    chunks = checked_chunks(read(tmp_path, "a.ipynb", notebook(*cells)), count_words, 8)
    assert [chunk.heading for chunk in chunks][-1] == ("Two",)


def test_a_magic_says_the_language_of_its_cell(tmp_path: Path) -> None:
    assert read(tmp_path, "a.ipynb", notebook(code("%%bash\nls"))).text == "```bash\n%%bash\nls\n```"


def test_what_is_no_notebook_is_damaged_and_one_without_text_empty(tmp_path: Path) -> None:
    for content in ('{"cells": [', "[]", "{}", "[" * 100_000, '{"cells": 1' + "0" * 10_000 + "}"):
        assert reason(tmp_path, "a.ipynb", content) == "damaged"
    assert reason(tmp_path, "a.ipynb", notebook()) == "empty"
    odd = json.dumps(
        {"cells": [1, {"cell_type": "code", "source": 7, "outputs": {}}, {}], "metadata": [], "worksheets": 3}
    )
    assert reason(tmp_path, "a.ipynb", odd) == "empty"
