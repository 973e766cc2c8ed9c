"""Texts that make careless patterns and parsers slow: each a function of the wanted length, in characters."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping

Grown = Callable[[int], str]


def repeated(unit: str, *, before: str = "", after: str = "") -> Grown:
    """Return a text that repeats a unit, between a beginning and an end that it has once."""
    return lambda length: before + unit * max(length // len(unit), 1) + after


def nested(opening: str, closing: str, inside: str = "x") -> Grown:
    """Return a text of things within things, all of them closed."""

    def text(length: int) -> str:
        depth = max(length // (len(opening) + len(closing)), 1)
        return opening * depth + inside + closing * depth

    return text


def numbered(unit: str, *, before: str = "", after: str = "") -> Grown:
    """Return a text whose every unit has a number of its own in the place of `{}`, so that no two are equal."""

    def text(length: int) -> str:
        count = max(length // (len(unit) + 4), 1)
        return before + "".join(unit.replace("{}", str(number)) for number in range(count)) + after

    return text


_PUNCTUATION = {f"only {mark}": repeated(mark, after="x") for mark in string.punctuation}

_RUNS = {
    "spaces": repeated(" ", before="x", after="x"),
    "spaces at the end": repeated(" ", before="x"),
    "tabs": repeated("\t", before="x", after="x"),
    "newlines": repeated("\n", before="x", after="x"),
    "newline and space": repeated("\n ", before="x", after="x"),
    "spaces and newlines, no paragraph": repeated(" " * 50 + "\nx"),
    "carriage returns": repeated("\r", before="x"),
    "vertical tabs": repeated("\v", before="x", after="x"),
    "one word": repeated("a"),
    "one word in capitals": repeated("A", after="a"),
    "one number": repeated("9"),
    "humps": repeated("aB"),
    "underscores and letters": repeated("_a"),
    "mixed marks": repeated(".!?…"),
    "marks and closers": repeated(".)", before="x", after="x"),
    "a mark, then closers": repeated(")", before="x.", after="x"),
    "marks of no space": repeated("。", after="x"),
    "mark of no space, then others": repeated("!", before="。", after="x"),
    "abbreviations": repeated("a."),
    "combining marks": repeated("\u0301", before="e"),
    "combining marks out of order": repeated("\u0301\u0323", before="e"),
    "Thai vowels out of order": repeated("\u0e48\u0e38", before="\u0e01"),
    "sound marks": repeated("\u3099\u309a", before="\u304b"),
    "zero-width joiners": repeated("\u200d", before="x", after="x"),
    "letters joined": repeated("x\u200d"),
    "tatweel": repeated("\u0640", before="\u0628"),
    "variation selectors": repeated("\ufe0f", before="\u2764"),
    "CJK": repeated("東京都"),
    "Hangul parts": repeated("\u1112\u1161\u11ab"),
    "ligatures": repeated("\ufdfa"),
    "directions": repeated("\u202e\u202c"),
    "half surrogates": repeated("\ud800"),
    "NUL": repeated("\0"),
    "replacement characters": repeated("\ufffd"),
    "emoji": repeated("👩\u200d👩\u200d👧"),
}

_MARKUP = {
    "comments": repeated("<!-- line of the licence -->\n", before='<?xml version="1.0"?>\n', after="<project/>\n"),
    "comments at the start": repeated("<!---->", after="<x>"),
    "comments of dashes": repeated("<!-- - -- - "),
    "comment unclosed": repeated("x", before="<!--"),
    "comments unclosed": repeated("<!--"),
    "declarations": repeated("<?xml ?>"),
    "declaration unclosed": repeated(" ", before="<?xml"),
    "doctypes": repeated("<!doctype "),
    "doctype with spaces": repeated(" ", before="<!doctype", after="x"),
    "tags nested": nested("<div>", "</div>"),
    "tags unclosed": repeated("<div>"),
    "bold unclosed": repeated("<b>", before="<p>"),
    "links unclosed": repeated("<a href=x>"),
    "tables nested": nested("<table><tr><td>", "</td></tr></table>"),
    "lists nested": nested("<ul><li>", "</li></ul>"),
    "code nested": nested("<code>", "</code>", "x" * 1000),
    "headings nested": nested("<div><h1> ", "</h1></div>", " "),
    "quotes nested": nested("<blockquote>", "</blockquote>"),
    "forms": repeated("<form>"),
    "options": repeated("<option>x"),
    "closing tags only": repeated("</div>"),
    "crossed tags": repeated("<b><i></b></i>"),
    "paragraphs": repeated("<p>Some words in it."),
    "spans": repeated("<span>a</span>", before="<p>"),
    "breaks": repeated("<br>x", before="<p>"),
    "empty rows": repeated("<tr><td>", before="<table>"),
    "lone less-thans": repeated("<", before="<p>"),
    "tag unclosed": repeated("x", before="<"),
    "attributes": repeated(" a", before="<p", after=">x</p>"),
    "attributes of their own": numbered(" a{}=1", before="<p", after=">x</p>"),
    "attribute unclosed": repeated("x", before='<p title="'),
    "quotes of attributes": repeated('="', before="<p a"),
    "entities": repeated("&amp;"),
    "entities unclosed": repeated("&amp"),
    "ampersands": repeated("&", before="<p>"),
    "numbers of entities": repeated("9", before="<p>&#", after=";"),
    "entity definitions": repeated('<!ENTITY a "&b;&b;&b;">', before="<!DOCTYPE x [", after="]><x>&a;</x>"),
    "CDATA": repeated("<![CDATA["),
    "CDATA closed": repeated("<![CDATA[x]]>"),
    "script": repeated("<script>"),
    "script text": repeated("</scrip", before="<script>"),
    "script comments": repeated("<!--<script>", before="<script>"),
    "style": repeated("a{b:c}", before="<style>", after="</style>"),
    "titles": repeated("<title> </title>", before="<svg>"),
    "metas": repeated('<meta name="keywords" content="a,b">', before="<head>"),
    "meta with a long content": repeated("a ", before='<meta name="date" content="', after='">'),
    "dates": repeated("2020-01-01 ", before="<html><body><p>"),
    "pictures": repeated('<img alt="x" src="a.png">', before="<html><body><article><p>"),
    "articles": repeated("<article><p>Words of an article that go on for a while.</p></article>"),
    "links": repeated('<p><a href="a">words of a link</a></p>', before="<html><body>"),
    "templates": nested("<template>", "</template>"),
    "svg": nested("<svg>", "</svg>"),
}

_WRITING = {
    "front matter unclosed": repeated("a: b\n", before="---\n"),
    "front matter fences": repeated("---\n"),
    "front matter spaces": repeated("--- x\n", before="---\n"),
    "front matter nested": repeated("[", before="---\na: ", after="\n---\nx"),
    "front matter maps nested": repeated("{a: ", before="---\na: ", after="\n---\nx"),
    "front matter keys": numbered("k{}: 1\n", before="---\n", after="---\nx"),
    "front matter of colons": repeated("a: ", before="---\n", after="\n---\nx"),
    "front matter of dashes": repeated("- ", before="---\n", after="x\n---\nx"),
    "front matter of questions": repeated("? ", before="---\n", after="x\n---\nx"),
    "front matter quoted": repeated("x", before='---\na: "', after='"\n---\nx'),
    "front matter escapes": repeated("\\n", before='---\na: "', after='"\n---\nx'),
    "front matter number": repeated("9", before="---\na: ", after="\n---\nx"),
    "front matter hexadecimal": repeated("f", before="---\na: 0x", after="\n---\nx"),
    "front matter minutes": repeated(":59", before="---\na: 1", after="\n---\nx"),
    "front matter minutes and a fraction": repeated(":59", before="---\na: 1", after=".5\n---\nx"),
    "front matter aliases": repeated("*a,", before="---\na: &a [x]\nb: [", after="]\n---\nx"),
    "front matter laughs": numbered("a{}: &a{} [*a, *a]\n", before="---\na: &a x\n", after="---\nx"),
    "front matter list": repeated("x, ", before="---\ntags: [", after="x]\n---\nx"),
    "front matter tags": repeated("!!str ", before="---\na: ", after="x\n---\nx"),
    "headings": repeated("# a\n"),
    "headings of six levels": repeated("# a\n## a\n### a\n#### a\n##### a\n###### a\n"),
    "long names of headings": repeated(f"# {'n ' * 90}\n###### a\n"),
    "heading closed": repeated("#", before="# a ", after="x"),
    "closing hashes": repeated(" #", before="# a", after="x"),
    "setext": repeated("a\n===\n"),
    "setext after empty lines": repeated("a\n---\n\n"),
    "setext lines only": repeated("=", before="a\n", after="x"),
    "setext with spaces": repeated(" ", before="a\n===", after="x"),
    "fences": repeated("```\n"),
    "fence of many": repeated("`", before="\n", after="\nx"),
    "fences growing": lambda length: "\n".join("`" * (3 + n % 400) for n in range(max(length // 200, 1))),
    "tildes": repeated("~~~ x\n"),
    "pipes": repeated("|a", after="|\n"),
    "table": repeated("| a | b |\n", before="| a | b |\n|---|---|\n"),
    "list markers": repeated("- "),
    "list of lists": repeated("  - a\n"),
    "list ever deeper": lambda length: "\n".join(" " * n + "- a" for n in range(max(int(length**0.5), 1))),
    "numbers of lists": repeated("1. "),
    "quotes of quotes": repeated("> "),
    "emphasis": repeated("*a_"),
    "emphasis unclosed": repeated("**a "),
    "emphasis nested": nested("*", "*"),
    "brackets of links": repeated("[", before="# "),
    "brackets closed": nested("[", "]"),
    "targets of links": repeated("]("),
    "links of links": repeated("[a](", before="# "),
    "links of nothing": repeated("[]()", before="# "),
    "link unclosed": repeated("x", before="# [a]("),
    "braces": repeated("{#", before="# a "),
    "braces closed": repeated("{.a} ", before="# a ", after="x"),
    "reStructuredText": repeated("a\n===\n"),
    "reStructuredText of all levels": lambda length: "".join(
        f"name {n}\n{mark * 12}\n\n" for n in range(max(length // 400, 1)) for mark in "=-~^\"'`#*+:.<>_"
    ),
    "overlines": repeated("===\na\n===\n"),
    "adornments only": repeated("=", before="a\n", after="x"),
    "adornments with spaces": repeated("===  x\n"),
    "directives": repeated(".. a::\n\n   x\n"),
    "notebook": repeated('{"cells": [{"source": ["x"]}]},', before="[", after="{}]"),
    "JSON nested": nested('{"a":[', "]}"),
    "JSON arrays nested": nested("[", "]"),
    "JSON in one line": repeated('{"a": 1},'),
    "JSON strings": repeated('\\"', before='["', after='"]'),
    "CSV": repeated('"a","b"\n'),
    "CSV quotes unclosed": repeated('"a,\n'),
    "commas": repeated(","),
    "YAML nested": lambda length: "\n".join(" " * n + "a:" for n in range(max(int(length**0.5), 1))),
    "sentences": repeated("This is a sentence of some words. "),
    "sentences without spaces": repeated("これは文です。"),
    "lines": repeated("a line of a log 2020-01-01\n"),
    "base64": repeated("QUJDRA+/"),
    "shebang": repeated("python", before="#!/usr/bin/"),
    "shebang digits": repeated(".1", before="#!/usr/bin/python", after="\nx"),
    "declared encodings": repeated("coding: utf-8 "),
    "encodings unclosed": repeated("charset= "),
}

_CODE = {
    "parentheses": repeated("("),
    "parentheses closed": nested("(", ")"),
    "calls nested": nested("f(", ")"),
    "blocks": repeated("{"),
    "blocks closed": nested("{", "}", ""),
    "conditions nested": nested("if (a) {", "}"),
    "else if": repeated("if (a) b(); else "),
    "classes nested": nested("class A {", "}", ""),
    "types nested": nested("A<", ">"),
    "comparisons": repeated("a<"),
    "strings unclosed": repeated("'"),
    "strings": repeated('"a" + ', after='"a"'),
    "string of escapes": repeated("\\\\", before='"'),
    "template strings": repeated("`${"),
    "comments of code": repeated("/**/"),
    "comments of code unclosed": repeated("/*"),
    "line comments": repeated("// a\n"),
    "hash comments": repeated("# a\n", after="def f(): pass\n"),
    "operators": repeated("a + "),
    "unary": repeated("!"),
    "minus": repeated("- "),
    "stars": repeated("*"),
    "arrows": repeated("a => "),
    "commas of code": repeated("a, "),
    "semicolons": repeated(";"),
    "assignments": repeated("a = "),
    "members": repeated("a."),
    "indices": repeated("a["),
    "lambdas": repeated("lambda: "),
    "definitions": repeated("def f():\n    pass\n"),
    "functions": repeated("function f() {}\n"),
    "functions of C": repeated("int f(void) { return 0; }\n"),
    "functions unclosed": repeated("function f() {\n"),
    "indentation ever deeper": lambda length: "\n".join(
        " " * n + "if a:" for n in range(max(int((2 * length) ** 0.5), 1))
    ),
    "heredocs": repeated("<<A\n"),
    "heredocs of their own": numbered("cat <<A{}\n"),
    "dollars": repeated("$("),
    "preprocessor": nested("#if A\n", "#endif\n"),
    "macros": repeated("#define A A\n"),
    "raw strings": repeated('R"a('),
    "attributes of code": repeated("#[a]"),
    "decorators": repeated("@a\n"),
    "php tags": repeated("<?php ?>"),
    "regexes": repeated("/a/"),
    "percents of ruby": repeated("%w("),
    "interpolations": repeated('"#{'),
    "begin": repeated("begin "),
    "generics of calls": repeated("a<b>("),
    "pointers": repeated("*", before="int ", after="a;"),
    "declarators": repeated("(*", before="int ", after="a;"),
}

HOSTILE: Mapping[str, Grown] = {**_PUNCTUATION, **_RUNS, **_MARKUP, **_WRITING, **_CODE}
OF_CODE = (*_PUNCTUATION, *_CODE, "comments", "comments at the start", "comments of dashes", "links unclosed", "style")
