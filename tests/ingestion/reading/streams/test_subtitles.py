"""Subtitles: what is said, as paragraphs with times that a hit can cite."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ingestion_material import checked_chunks, count_words
from read_by_name import read, reason


def test_subrip_is_what_is_said_with_the_time_about_every_half_minute(tmp_path: Path) -> None:
    cues = "".join(
        f"{n + 1}\n00:{n // 6:02}:{n % 6 * 10:02},500 --> 00:10:00,000\n<i>Line {n}</i>\n{{\\an8}}goes on.\n\n"
        for n in range(7)
    )
    document = read(tmp_path, "a.srt", "\ufeff" + cues.replace("\n", "\r\n"))
    assert document.text == (
        "[00:00:00] Line 0 goes on. Line 1 goes on. Line 2 goes on.\n\n[00:00:30] Line 3 goes on. Line 4 goes on. Line 5 goes on."
        "\n\n[00:01:00] Line 6 goes on."
    )
    assert document.metadata == {"format": "subtitles"}
    assert [chunk.text[:10] for chunk in checked_chunks(document, count_words, 16)] == [
        "[00:00:00]",
        "[00:00:30]",
        "[00:01:00]",
    ]


def test_webvtt_keeps_speakers_and_leaves_notes_styles_names_and_positions_out(tmp_path: Path) -> None:
    text = (
        "WEBVTT - The Talk\nKind: captions\nLanguage: en\n\nSTYLE\n::cue { color: red }\n\nNOTE a note\nof two lines\n\n"
        "first cue\n00:01.000 --> 00:05.000 position:10%,line-left align:left\n<v Ann>Hello <c.yellow>you</c> &amp; all</v>\n\n"
        "00:06.000 --> 00:07.000\n<v Ann>Still me.</v>\n\n01:00:08.000 --> 01:00:09.000\n<v.loud Bob Ray>Hi.</v>\n<v Ann>Hi."
    )
    document = read(tmp_path, "a.vtt", text)
    assert document.title == "The Talk"
    assert document.text == "[00:00:01] Ann: Hello you & all Still me.\n\n[01:00:08] Bob Ray: Hi.\nAnn: Hi."
    assert document.metadata == {"format": "subtitles", "language": "en"}


def test_captions_that_roll_are_said_once(tmp_path: Path) -> None:
    cues = [(0, " ", "now we<00:00:01.000><c> see</c>"), (2, "now we see", " "), (2, "now we see", "what<c> is</c>"),
            (4, "what is", " "),
            (4, "what is", "there"), (6, "there", " "), (6, "there", "there")]  # fmt: skip
    text = "WEBVTT\n\n" + "".join(f"00:00:{at:02}.000 --> 00:00:59.000\n{one}\n{two}\n\n" for at, one, two in cues)
    assert read(tmp_path, "a.vtt", text).text == "[00:00:00] now we see what is there"
    growing = [(0, "I"), (1, "I say"), (2, "I say it"), (3, "Done.")]
    text = "".join(f"00:00:{at:02},000 --> 00:00:59,000\n{said}\n\n" for at, said in growing)
    assert "it Done." in read(tmp_path, "a.srt", text).text
    plain = "".join(
        f"{n}\n00:00:{n:02},000 --> 00:00:59,000\n{said}\n\n"
        for n, said in enumerate(["No.", "No.", "Why?", "So.", "Go.", "On."])
    )
    assert read(tmp_path, "b.srt", plain).text == "[00:00:00] No. No. Why? So. Go. On."


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.sbv", "0:00:01.000,0:00:02.000\nOne\nline\n\n0:00:03.000,0:00:04.000\nTwo\n", "[00:00:01] One line Two"),
        ("a.lrc", "[ti:Song]\n[00:01.00][00:40.00]Chorus\n[00:12.00]Verse <00:13.00>two",
         "[00:00:01] Chorus Verse two Chorus"),
        (
            "a.ass",
            "[Script Info]\nTitle: Film\n\n[Events]\n"
            "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
            "Dialogue: 0,0:00:09.00,0:00:10.00,D,,0,0,0,,Later\nComment: 0,0:00:01.00,0:00:10.00,D,,0,0,0,,no\n"
            "Dialogue: 0,0:00:01.00,0:00:10.00,D,Ann,0,0,0,,{\\i1}One,{\\i0} two\\Nthree\n"
            "Dialogue: 0,0:00:02.00,0:00:10.00,D,,0,0,0,,{\\p1}m 0 0 l 1 1",
            "[00:00:01] Ann: One, two three Later",
        ),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\nOne\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n\nafter an empty line\n",
         "[00:00:01] One Two after an empty line"),
        ("a.srt", "1\n00:00:01.5 --> 00:00:02.5\n2 < 3 > 1, {text} <b>x</b>\n", "[00:00:01] 2 < 3 > 1, {text} x"),
        ("a.srt", "no times\n# here", "no times\n# here"),
    ],
)  # fmt: skip
def test_other_forms_and_broken_ones_are_read(tmp_path: Path, name: str, content: str, text: str) -> None:
    assert read(tmp_path, name, content).text == text


def test_lyrics_say_their_title_and_author(tmp_path: Path) -> None:
    document = read(tmp_path, "a.lrc", "[ti:Song]\n[ar:Ann]\n[00:01.00]la")
    assert (document.title, document.metadata["author"]) == ("Song", "Ann")


def test_captions_without_words_are_empty(tmp_path: Path) -> None:
    assert reason(tmp_path, "a.vtt", "WEBVTT\n\n") == "empty"
    assert reason(tmp_path, "a.srt", "1\n00:00:01,000 --> 00:00:02,000\n\n") == "empty"


def test_long_files_take_linear_time(tmp_path: Path) -> None:
    start = time.process_time()
    read(tmp_path, "a.srt", "00:00:01,000 --> 00:00:02,000\nword\n\n" * 10_000)
    read(tmp_path, "b.srt", "1:1:1," * 60_000 + "<" * 60_000)
    assert time.process_time() - start < 3
