"""Org files are read as structure, line by line, without their drawers."""

from __future__ import annotations

from ingestion_material import Write

from knowledge_core.ingestion.readers import read_file

TEXT = """#+TITLE: Harbour log
#+FILETAGS: :boats:
# a comment

* TODO [#A] Ropes                                            :gear:two:
SCHEDULED: <2024-05-12 Sun>
:PROPERTIES:
:ID: 1234
:END:
See [[file:fenders.org::*Sizes][the fenders]] and [[https://example.org]].
** Splicing [[Knots]]
#+BEGIN_SRC python
* not a heading
#+END_SRC
#+begin_quote
Old rope.
#+end_quote
"""


def test_an_org_file_keeps_headings_code_tags_and_links_and_its_lines(write: Write) -> None:
    document = read_file(write("log.org", TEXT), document_id="log.org", limit=10**6)
    assert document.title == "Harbour log"
    assert document.text.split("\n") == [
        *[""] * 4, "# Ropes", *[""] * 4, "See the fenders and https://example.org.", "## Splicing Knots", "```python",
        "* not a heading", "```", "", "Old rope.", "", "",
    ]  # fmt: skip
    assert document.metadata == {"format": "org", "tags": ["boats", "gear", "two"], "links": ["fenders", "Knots"]}


def test_an_org_file_is_called_after_the_heading_it_begins_with_else_like_the_file(write: Write) -> None:
    for text, title in (("\n* First\n* Second\n", "First"), ("words\n* First\n", "log"), ("** Deep\n", "log")):
        assert read_file(write("log.org", text), document_id="log.org", limit=10**6).title == title


def test_a_drawer_that_never_ends_ends_at_the_next_heading(write: Write) -> None:
    document = read_file(write("log.org", ":LOGBOOK:\nlost\n* Heading\nwords"), document_id="log.org", limit=10**6)
    assert document.text == "\n\n# Heading\nwords"
