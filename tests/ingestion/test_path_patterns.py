"""Patterns of paths mean what git's do, and take time that grows with pattern times path, whatever they hold."""

from __future__ import annotations

import re
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ingestion_material import Write
from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from knowledge_core.errors import InvalidInput
from knowledge_core.ingestion.walking.path_patterns import LONGEST, MalformedPattern, PathPatterns
from knowledge_core.ingestion.walking.walker import Selecting, Walk, walk
from linear import grows_linearly

# -- held against pathspec ---------------------------------------------------------------------------------------------

_LETTERS = ["a", "b", "ab", ".", "é", "東", "x y", "#", "!", "-", "_", "e\u0301", "👩", "A", "$", "(", "^", "+", "{"]
_WILD = ["*", "*", "?", "[ab]", "[!a]", "[a-c]", "[]a]", "[a-]", "[!é-ü]", "[-a]", "\\*", "\\?", "\\[", "\\a", "**"]
_SEGMENTS = st.one_of(
    st.sampled_from(["**", "**", "*", "a", "ab", "b", "*.b"]),
    st.lists(st.sampled_from([*_LETTERS, *_WILD]), min_size=1, max_size=5).map("".join),
)
_NAMES = st.one_of(
    st.sampled_from(["a", "b", "ab"]), st.lists(st.sampled_from(_LETTERS), min_size=1, max_size=5).map("".join)
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=5).map("/".join)


@st.composite
def _written(draw: st.DrawFn) -> str:
    middle = "/".join(draw(st.lists(_SEGMENTS, min_size=1, max_size=4)))
    before = draw(st.sampled_from(["", "", "!", "/", "!/"]))
    return before + middle + draw(st.sampled_from(["", "", "", "/", " ", "\\ ", "\t", "/**"]))


def _git(lines: list[str]) -> GitIgnoreSpec | None:
    """The same lines read by pathspec; None where it, or we, call one malformed."""
    spec = GitIgnoreSpec.from_lines(lines)
    for pattern in spec.patterns:
        if isinstance(pattern, GitIgnoreSpecPattern) and pattern.regex is not None:
            # In pathspec a set of all letters but some holds the slash; in git it does not.
            pattern.regex = re.compile(re.sub(r"\[\^(?!/)", r"[^\\/", pattern.regex.pattern))
    return spec


def _is_about(pattern: GitIgnoreSpecPattern, path: str) -> bool:
    if str(pattern.pattern).rstrip().endswith("/**"):
        path = path.rstrip("/")
    return any(
        found.groupdict().get("ps_d") is None or found.end() == len(path) for found in pattern.regex.finditer(path)
    )


def _by_pathspec(lines: list[str], path: str) -> bool | None:
    for pattern in reversed(_git(lines).patterns):
        if pattern.include is not None and pattern.regex is not None and _is_about(pattern, path):
            return pattern.include
    return None


@settings(max_examples=60, deadline=None)
@given(st.lists(_written(), min_size=1, max_size=4), _PATHS, st.booleans())
@example(["**/"], "a/b", True)
@example(["*/"], "a", True)
@example(["a/**"], "a", True)
@example(["!/"], "a/b", False)
@example(["**/a/**/b/**"], "x/a/b/c", False)
@example(["a*b*", "!ab"], "aab", False)
def test_lines_say_of_a_path_what_pathspec_says(lines: list[str], path: str, folder: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            ours = PathPatterns(lines)
            theirs = _git(lines)
        except (MalformedPattern, ValueError, re.error):
            return
        shown = path + "/" if folder else path
        assert ours.says(shown) == _by_pathspec(lines, shown)
        assert ours.match(path) == theirs.match_file(path)


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None)
@given(st.lists(_written(), min_size=1, max_size=4), _PATHS, st.booleans())
def test_many_lines_say_of_many_paths_what_pathspec_says(lines: list[str], path: str, folder: bool) -> None:
    test_lines_say_of_a_path_what_pathspec_says.hypothesis.inner_test(lines, path, folder)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("!", "says not what to bring back"),
        ("a\\", "ends in a backslash"),
        ("[a", "has a \\[ without its \\]"),
        ("x[", "has a \\[ without"),
        ("[z-a]", "runs backwards"),
        ("a\0b", "NUL"),
        ("a" * (LONGEST + 1), "at most 4096"),
    ],
)
def test_a_malformed_pattern_says_why_and_in_an_ignore_file_costs_only_its_own_line(
    line: str, why: str, write: Write, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=f"exclude: .* is no pattern: it .*{why}.* as in .gitignore"):
        walk(tmp_path, [tmp_path], Selecting(1000, exclude=[line]))
    write(".gitignore", f"{line}\n*.log\n")
    write("a.log")
    write("a.md")
    assert [file.relative for file in walk(tmp_path, [tmp_path], Selecting(1000)).files] == ["a.md"]


def test_a_set_never_takes_a_slash() -> None:
    assert PathPatterns(["a[!x]b"]).match("a-b")
    assert not PathPatterns(["a[!x]b"]).match("a/b")
    assert not PathPatterns(["a[+-9]b"]).match("a/b")


# -- time --------------------------------------------------------------------------------------------------------------

_STARS = {
    "stars and letters": lambda n: "*a" * n + "b",
    "stars and any letters": lambda n: "*?" * n + "b",
    "stars and sets": lambda n: "*[ab]" * n + "[!a]",
    "nothing but stars": lambda n: "*" * n + "b",
    "stars within": lambda n: "a*" * n + "b",
    "folders at any depth": lambda n: "**/a/" * n + "b",
    "folders at any depth with stars": lambda n: "**/*a*a/" * n + "b",
    "any depth only": lambda n: "**/" * n + "b",
    "two in a row at any depth": lambda n: "**/a/a/" * n + "b",
    "folder of folders": lambda n: "a/" * n,
    "brackets": lambda n: "[" + "a" * n + "]b",
    "ranges": lambda n: "[" + "a-z" * n + "]b",
    "any depth and below": lambda n: "**/a/" * n + "**",
}


@pytest.mark.parametrize("kind", _STARS)
def test_a_pattern_takes_time_in_proportion_to_itself_and_to_the_path(kind: str) -> None:
    long_name, deep = "a" * 255, "a/" * 120 + "a"
    for path in (long_name, deep):
        grows_linearly(lambda n, path=path: _asked(_STARS[kind](n), path), 50)
    grows_linearly(lambda n: _asked(_STARS[kind](20), "a" * n), 2_000)
    grows_linearly(lambda n: _asked(_STARS[kind](20), "a/" * n + "a"), 500)


def _asked(pattern: str, path: str) -> None:
    lines = PathPatterns([pattern[:LONGEST]])
    lines.match(path)
    lines.says(path + "/")


@pytest.mark.parametrize("where", ["include", "exclude", ".gitignore", ".kcoreignore"])
def test_a_name_of_many_letters_and_a_pattern_of_many_stars_end_a_walk_soon(
    where: str, write: Write, tmp_path: Path
) -> None:
    write("a" * 60 + ".md")
    write("b.md")
    hostile = ["*a*a*a*a*a*a*a*ab", "**/" * 60 + "x", "*[ab]" * 30 + "c"]
    began = time.process_time()
    if where.startswith("."):
        write(where, "\n".join(hostile))
        found = walk(tmp_path, [tmp_path], Selecting(1000))
    else:
        found = walk(tmp_path, [tmp_path], Selecting(1000, **{where: hostile}))
    assert len(found.files) == (0 if where == "include" else 2)
    assert time.process_time() - began < 2


_MANY = ("name{}", "*.{}", "/top/folder{}/", "*-{}*", "folder{}/**", "a*{}", "**/deep/name{}")


@pytest.mark.parametrize("kind", [_MANY[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in _MANY[1:])])
def test_ten_thousand_lines_in_an_ignore_file_are_usable(kind: str, write: Write, tmp_path: Path) -> None:
    write(".gitignore", "".join(kind.format(number) + "\n" for number in range(10_000)))
    for number in range(30):
        write(f"text{number}.md")
    began = time.process_time()
    found: Walk = walk(tmp_path, [tmp_path], Selecting(1000))
    assert 20 <= len(found.files) <= 30
    assert time.process_time() - began < 5  # half a second here
