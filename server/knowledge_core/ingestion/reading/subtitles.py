"""Subtitles and captions as what is said: paragraphs that begin with the time, "[00:12:30] ...".

SubRip, WebVTT, YouTube's SBV, Advanced SubStation, and lyrics (LRC). A hit can cite the time, because every paragraph holds
about half a minute. Numbers, positions and styles are left out; speakers are kept. Captions that roll (each cue repeats the
line before) are folded.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.parsed import Parsed, facts
from knowledge_core.types import MetadataValue

_STAMP = r"(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2})(?:[.,:](\d{1,3}))?"
_ARROW = re.compile(rf"\s*{_STAMP}\s*-{{1,2}}>\s*[\d:.,]{{4,16}}(?:\s.*)?$")
_COMMA = re.compile(rf"\s*{_STAMP},\d{{1,3}}:\d\d:\d\d[.,]\d{{1,3}}\s*$")
_LYRIC = re.compile(r"\s*((?:\[\d{1,3}:\d{1,2}(?:[.:]\d{1,3})?\]\s?)+)(.*)$")
_LYRIC_FIELD = re.compile(r"\s*\[(ti|ar|al|au|by):(.*)\]\s*$", re.I)
_SPEAKER = re.compile(r"<v(?:\.[^ \t>]{0,100})?[ \t]+([^>]{1,200})>")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,300}>|<\d[\d:.]{0,15}>|\{\\[^{}]{0,300}\}|\{[yY]:[^{}]{0,30}\}")
_DRAWING = re.compile(r"\{[^{}]{0,300}\\p[1-9]")
_HEADER = re.compile(r"(?:\ufeff)?WEBVTT[ \t]*(?:-[ \t]*)?([^\n]{0,200})")
_FIELD = re.compile(r"^(Language|Kind|Title)[ \t]*:[ \t]*([^\n]{1,100})$", re.M | re.I)
_EVERY = 30  # seconds of a paragraph, where a sentence ends; about 75 words are said in them
_AT_MOST = 45  # seconds where none ends
_ENDS = (".", "!", "?", "…", "。", "！", "？", "؟", '"', "”", "♪", "]", ")")
_ROLLING = 0.25  # of the cues begin with the line that the one before ended in; where they do not roll, few do


@dataclass(frozen=True)
class _Cue:
    """start: in seconds. lines: what is said, with speakers as "Ann: " before it."""

    start: float
    lines: tuple[str, ...]


def read_subtitles(text: str, name: str) -> Parsed:
    """Return what is said as Markdown; a file without times is read as it is."""
    cues = list(_cues(text))
    own: dict[str, MetadataValue] = {"format": "subtitles"}
    title, about = _about(text)
    if language := about.pop("language", ""):
        own["language"] = language
    if not cues:
        known = _HEADER.match(text) or "[Script Info]" in text[:4000] or any(map(_ARROW.match, text.split("\n")))
        rest = "" if known else text
        return Parsed(rest, title, own, "text/plain", lines_of_file=True)
    body = clean_text("\n\n".join(_paragraphs(_folded(cues))))
    return Parsed(body, title, from_file(facts(**about), own))


def _cues(text: str) -> Iterator[_Cue]:
    lines = text.split("\n")
    if any(line.startswith("[Events]") for line in lines):
        return _substation(lines)
    if any(_ARROW.match(line) or _COMMA.match(line) for line in lines):
        return _timed(lines, numbered=not _HEADER.match(text))
    return _lyrics(lines)


def _timed(lines: Sequence[str], *, numbered: bool) -> Iterator[_Cue]:
    """Yield the cues of SubRip, WebVTT and SBV: a line of times, then what is said until an empty line.

    numbered: lines after the empty line are part of the cue as well, save a number before the next times (SubRip). In
    WebVTT they are names of cues, notes and styles.
    """
    start: float | None = None
    said: list[str] = []
    after: list[str] = []  # lines after the empty one
    ended = False
    for line in lines:
        found = _ARROW.match(line) or _COMMA.match(line)
        if found:
            if numbered:
                said += after[:-1] if after and after[-1].strip().isdecimal() else after
            if not ended and said and said[-1].strip().isdecimal():
                said.pop()  # the next cue's number, where the empty line is missing
            if start is not None:
                yield from _cue(start, said)
            start, said, after, ended = _seconds(found), [], [], False
        elif not line.strip():
            ended = ended or bool(said)
        elif ended:
            after.append(line)
        else:
            said.append(line)
    if start is not None:
        yield from _cue(start, said + (after if numbered else []))


def _substation(lines: Sequence[str]) -> Iterator[_Cue]:
    """Yield the cues of Advanced SubStation in the order of their times; drawings are left out."""
    names = ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
    cues: list[_Cue] = []
    events = False
    for line in lines:
        events = line.startswith("[Events]") if line.startswith("[") else events
        kind, _, rest = line.partition(":")
        if events and kind == "Format":
            names = [each.strip().lower() for each in rest.split(",")]
        elif events and kind == "Dialogue" and "text" in names and "start" in names:
            values = dict(zip(names, rest.split(",", len(names) - 1), strict=False))
            found = re.match(rf"\s*{_STAMP}", values.get("start", ""))
            said = values.get("text", "")
            if found and said and not _DRAWING.search(said):
                speaker = values.get("name", values.get("actor", "")).strip()
                said = re.sub(r"\\[Nn]", "\n", said).replace("\\h", " ")
                cues += _cue(_seconds(found), said.split("\n"), speaker)
    yield from sorted(cues, key=lambda cue: cue.start)


def _lyrics(lines: Sequence[str]) -> Iterator[_Cue]:
    cues: list[_Cue] = []
    for line in lines:
        if found := _LYRIC.match(line):
            stamps = re.findall(r"\[(\d{1,3}):(\d{1,2})", found[1])
            said = re.sub(r"<\d{1,3}:\d\d[.:]\d{1,3}>", "", found[2])
            cues += [cue for minutes, seconds in stamps for cue in _cue(int(minutes) * 60 + int(seconds), [said])]
    yield from sorted(cues, key=lambda cue: cue.start)


def _seconds(found: re.Match[str]) -> float:
    return int(found[1] or 0) * 3600 + int(found[2]) * 60 + int(found[3]) + int((found[4] or "0").ljust(3, "0")) / 1000


def _cue(start: float, said: Sequence[str], speaker: str = "") -> Iterator[_Cue]:
    lines: list[str] = []
    for line in said:
        line = _SPEAKER.sub(lambda found: f"\x00{found[1].strip()}: ", line)
        for part in re.split(r"(?=\x00)", html.unescape(_TAG.sub("", line))):
            spoken = " ".join(part.split())
            if spoken.strip("\x00"):
                lines.append(spoken)
    if lines and speaker:
        lines[0] = f"\x00{speaker}: {lines[0]}"
    if lines:
        yield _Cue(start, tuple(lines))


def _folded(cues: Sequence[_Cue]) -> list[_Cue]:
    """Return the cues without the lines that rolling captions show again."""
    again = sum(two.lines[0] in (one.lines[-1], *one.lines[:1]) for one, two in pairwise(cues))
    if again <= _ROLLING * len(cues):
        return list(cues)
    result: list[_Cue] = []
    shown: tuple[str, ...] = ()
    for cue in cues:
        new = tuple(line for line in cue.lines if line not in shown)
        if result and new and new[0].startswith(result[-1].lines[-1]):  # a line that is shown while it grows
            result[-1] = _Cue(result[-1].start, (*result[-1].lines[:-1], *new))
        elif new:
            result.append(_Cue(cue.start, new))
        shown = cue.lines
    return result


def _paragraphs(cues: Sequence[_Cue]) -> Iterator[str]:
    """Yield paragraphs of about half a minute, which begin with their time; each speaker begins a line."""
    words: list[str] = []
    start = 0.0
    speaker = ""
    for cue in cues:
        since = cue.start - start
        if words and (since >= _AT_MOST or since < 0 or (since >= _EVERY and words[-1].endswith(_ENDS))):
            yield f"[{_clock(start)}] {_joined(words)}"
            words, speaker = [], ""
        start = start if words else cue.start
        for line in cue.lines:
            who, _, said = line[1:].partition(": ") if line.startswith("\x00") else ("", "", line)
            if who and who != speaker:
                words.append(f"\n{who}:" if words else f"{who}:")
                speaker = who
            words.append(said)
    if words:
        yield f"[{_clock(start)}] {_joined(words)}"


def _joined(words: Sequence[str]) -> str:
    return " ".join(words).replace(" \n", "\n")


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def _about(text: str) -> tuple[str, dict[str, str]]:
    """Return the title, and the author and language, that the file gives itself."""
    head = text[:4000]
    if found := _HEADER.match(head):
        fields = {name.lower(): value.strip() for name, value in _FIELD.findall(head.partition("-->")[0])}
        title = fields.get("title", found[1].strip())
        return "" if title == "FILE" else title, {"language": fields.get("language", "")}
    if "[Script Info]" in head and (found := re.search(r"^Title:[ \t]*([^\n]{1,200})$", head, re.M)):
        generic = found[1].strip().lower() in ("default aegisub file", "untitled", "<untitled>")
        return "" if generic else found[1].strip(), {}
    fields = {field[1].lower(): field[2].strip() for line in head.split("\n") if (field := _LYRIC_FIELD.match(line))}
    return fields.get("ti", ""), {"author": fields.get("ar", "")}
