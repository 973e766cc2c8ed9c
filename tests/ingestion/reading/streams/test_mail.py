"""E-mail and saved pages: who, when, what, every passage once, and what is attached by its name."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ingestion_material import checked_chunks, count_words
from read_by_name import read, reason

HEAD = "From: Ann Lee <ann@example.org>\nTo: Bob <bob@example.org>, carl@example.org\nDate: Sat, 31 Jan 2026 10:02:00 +0100\n"
SHOWN = (
    "From: Ann Lee <ann@example.org>\nTo: Bob <bob@example.org>, carl@example.org\nDate: 2026-01-31 10:02:00+01:00\n\n"
)


def multipart(kind: str, *parts: str, boundary: str = "=_b:1") -> str:
    """A multipart body; every part begins with its own head."""
    cut = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n{cut}--{boundary}--\n'


PLAIN = "Content-Type: text/plain; charset=utf-8\n\n"
HTML = "Content-Type: text/html; charset=utf-8\n\n"


def test_a_message_has_its_subject_as_title_and_says_who_wrote_to_whom_and_when(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "a.eml",
        HEAD + "Cc: =?utf-8?Q?J=C3=B6rg?= <j@x.org>\nSubject: =?iso-8859-1?q?Gr=FC=DFe?=\n\nHello Bob,\nyours.\n",
    )
    assert document.title == "Grüße"
    assert document.text == SHOWN.replace("\nDate", "\nCc: Jörg <j@x.org>\nDate") + "Hello Bob,\nyours."
    assert document.metadata == {
        "format": "email", "author": "Ann Lee", "from": "ann@example.org", "date": "2026-01-31T10:02:00+01:00",
        "to": ["bob@example.org", "carl@example.org", "j@x.org"],
    }  # fmt: skip


def test_of_alternatives_the_plain_text_is_read_once(tmp_path: Path) -> None:
    text = "Content-Transfer-Encoding: quoted-printable\n" + PLAIN + "caf=C3=A9 =\nsoft"
    body = multipart("alternative", text, HTML + "<p>caf&eacute; soft</p>")
    assert read(tmp_path, "a.eml", HEAD + body).text == SHOWN + "café soft"


def test_the_html_is_read_where_the_plain_text_only_says_that_there_is_some(tmp_path: Path) -> None:
    page = "<html><head><title>no</title></head><body><h1>Plan</h1><p>one two three four five six seven eight nine ten</p></body>"
    body = multipart("alternative", PLAIN + "See HTML.", multipart("related", HTML + page, boundary="in"))
    text = read(tmp_path, "a.eml", HEAD + body).text
    assert text == SHOWN + "# Plan\n\none two three four five six seven eight nine ten"


def test_attachments_are_named_and_not_read(tmp_path: Path) -> None:
    attached = 'Content-Type: application/pdf\nContent-Disposition: attachment; filename="plan.pdf"\n\nSECRETWORD'
    text_file = "Content-Type: text/plain\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.txt\n\nSECRETWORD"
    document = read(
        tmp_path, "a.eml", HEAD + multipart("mixed", PLAIN + "See.", attached, text_file, PLAIN + "A footer.")
    )
    assert document.text == SHOWN + "See.\n\nA footer.\n\nAttachments, not read: plan.pdf; ü.txt"
    assert document.metadata["attachments"] == ["plan.pdf", "ü.txt"]


@pytest.mark.parametrize("named", ['; boundary="another"', "; boundary=", ""])
def test_the_parts_are_found_though_the_head_names_another_boundary_or_none(tmp_path: Path, named: str) -> None:
    encoded = "Content-Transfer-Encoding: base64\n" + PLAIN + base64.b64encode(b"the walrus ledger").decode()
    body = multipart("mixed", encoded, PLAIN + "A footer.").replace('; boundary="=_b:1"', named, 1)
    assert read(tmp_path, "a.eml", HEAD + body).text == SHOWN + "the walrus ledger\n\nA footer."


def test_an_attached_message_is_a_section_under_its_subject(tmp_path: Path) -> None:
    inner = "Content-Type: message/rfc822\n\nFrom: c@d.org\nSubject: Inner\n\nThe # text\n# of it."
    text = read(tmp_path, "a.eml", HEAD + multipart("mixed", PLAIN + "Look:", inner)).text
    assert text == SHOWN + "Look:\n\n## Inner\n\nFrom: c@d.org\n\nThe # text\n    # of it."
    coded = (
        "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
        + base64.b64encode(inner[31:].encode()).decode()
    )
    assert "## Inner" in read(tmp_path, "a.eml", HEAD + multipart("mixed", PLAIN + "Look:", coded)).text


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("utf-8", "cp1255"),
        ("us-ascii", "utf-8"),
        ("iso-8859-8-i", "cp1255"),
        ("x-unknown", "cp1255"),
        ("windows-1252", "utf-8"),
    ],
)
def test_the_text_is_right_though_the_head_lies_about_its_encoding(tmp_path: Path, declared: str, codec: str) -> None:
    hebrew = "אני חושב שזה לא יהיה מקצועי והוגן שאני אראה לך היכן נפלה טעות בבדיקה של הבחינה"
    head = f"{HEAD}Content-Type: text/plain; charset={declared}\n\n"
    assert read(tmp_path, "a.eml", head.encode() + hebrew.encode(codec)).text == SHOWN + hebrew


def test_flowed_lines_are_joined_and_quotes_and_signatures_stay(tmp_path: Path) -> None:
    body = "Content-Type: text/plain; format=flowed\n\nOne \nparagraph.\n> quoted \n> text\n>> deep\nBye\n-- \nAnn\n"
    text = read(tmp_path, "a.eml", HEAD + body).text
    assert text == SHOWN + "One paragraph.\n> quoted text\n>> deep\nBye\n    --\nAnn"


@pytest.mark.parametrize(
    "body",
    [
        multipart("encrypted", "Content-Type: application/pgp-encrypted\n\nVersion: 1", "\nx"),
        "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\nMIIB\n",
        "\n-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n",
    ],
)
def test_an_encrypted_message_says_so(tmp_path: Path, body: str) -> None:
    assert reason(tmp_path, "a.eml", HEAD + body) == "encrypted"


def test_an_invitation_is_read_line_by_line(tmp_path: Path) -> None:
    calendar = (
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Plan\\, again\n"
        'DTSTART;TZID="Berlin":20260131T100000\nATTENDEE;CN="Bob B":mailto:b@x.org\n'
        "DESCRIPTION:long\n  text\nUID:1\nEND:VEVENT\nEND:VCALENDAR"
    )
    text = read(
        tmp_path,
        "a.eml",
        HEAD + multipart("alternative", PLAIN + "Come.", "Content-Type: text/calendar\n\n" + calendar),
    ).text
    assert (
        text
        == SHOWN
        + "Come.\n\nSummary: Plan, again\nStart: 2026-01-31 10:00\nAttendee: Bob B b@x.org\nDescription: long text"
    )


def test_a_mailbox_is_a_section_a_message_with_its_escapes_undone(tmp_path: Path) -> None:
    one = (
        "From ann@example.org Sat Jan 31 10:02:00 2026\n"
        + HEAD
        + "Subject: First\n\nHi.\n\n>From here on.\nFrom now on too.\n\n"
    )
    two = "From MAILER-DAEMON Sat Jan 31 10:02:00 2026\n" + HEAD + "Subject: Second\n" + HTML + "<h1>Big</h1>end\n"
    document = read(tmp_path, "a.mbox", one + two)
    assert (
        document.text == f"# First\n\n{SHOWN}Hi.\n\nFrom here on.\nFrom now on too.\n\n# Second\n\n{SHOWN}## Big\n\nend"
    )
    assert document.title == "a"
    assert document.metadata == {"format": "email", "messages": 2}
    chunks = checked_chunks(document, count_words, 100)
    assert [chunk.heading for chunk in chunks] == [("First",), ("Second",)] or chunks[-1].heading[0] == "Second"


def test_what_ends_a_message_cannot_swallow_the_next(tmp_path: Path) -> None:
    one = "From a@b Sat Jan 31 10:02:00 2026\nSubject: First\n\n```\nopen\n\n"
    two = "From a@b Sat Jan 31 10:02:00 2026\nSubject: Second\n\n<!-- open\n\n"
    three = "From a@b Sat Jan 31 10:02:00 2026\nSubject: Third\n\nwords\n"
    chunks = checked_chunks(read(tmp_path, "a.mbox", one + two + three), count_words, 8)
    assert {chunk.heading for chunk in chunks} == {("First",), ("Second",), ("Third",)}


def test_apples_form_ends_where_its_count_says(tmp_path: Path) -> None:
    message = "Subject: Count\n\nThe text.\n"
    document = read(tmp_path, "1.emlx", f"{len(message)}   \n{message}<?xml version='1.0'?><plist><dict/></plist>")
    assert (document.title, document.text) == ("Count", "The text.")


def test_a_message_is_known_by_its_head_where_the_name_says_nothing(tmp_path: Path) -> None:
    head = "Received: by x\nMessage-ID: <1@x>\n" + HEAD + "Subject: Known\n"
    assert read(tmp_path, "1204680122.27c448fbadf3.foo:2,S".replace(":", "_"), head + "\ntext").title == "Known"
    assert read(tmp_path, "12", head.replace("\n", "\r\n") + "\r\ntext").title == "Known"
    assert read(tmp_path, "note.txt", head + "\ntext").metadata["format"] == "text"
    assert read(tmp_path, "14", "To: everybody\nFrom: me\n\ntext").metadata["format"] == "text"


def test_broken_messages_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    assert reason(tmp_path, "a.eml", "      \n\n    \n") == "empty"
    assert reason(tmp_path, "a.eml", bytes(range(256)) * 4) == "damaged"
    assert read(tmp_path, "a.eml", HEAD + "Subject: Only a head").text == SHOWN.strip()
    assert read(tmp_path, "a.eml", "Subject: x\nNo empty line.").text == "No empty line."
    assert read(tmp_path, "a.eml", "just words, no head").text == "just words, no head"
    cut = (
        HEAD
        + 'Content-Type: multipart/mixed; boundary="b"\n\n--b\n\nfirst\n--b\nContent-Type: text/plain\n\nsecond, and cut'
    )
    assert read(tmp_path, "a.eml", cut).text == SHOWN + "first\n\nsecond, and cut"
    assert read(tmp_path, "a.eml", HEAD + "Content-Type: multipart/mixed\n\nno boundary").text == SHOWN + "no boundary"
    assert read(tmp_path, "a.eml", ("\ufeff" + HEAD + "\ntext").encode("utf-16")).text == SHOWN + "text"
    odd = 'Content-Type: text/plain; charset="; boundary==\nContent-Transfer-Encoding: base64\n\n!!!not base64'
    read(tmp_path, "a.eml", "From: =?utf-8?b?x?= <\nTo: ((((\nDate: never\n" + odd)


def test_a_key_that_is_called_a_message_is_a_secret(tmp_path: Path) -> None:
    lines = "\n".join(base64.b64encode(bytes(range(n, n + 48))).decode() for n in range(12))
    key = f"-----BEGIN {'PRIVATE KEY'}-----\n{lines}\n-----END {'PRIVATE KEY'}-----\n"
    assert reason(tmp_path, "key.eml", key) == "secret"


def test_parts_that_nest_without_end_are_read_to_a_depth_and_in_linear_time(tmp_path: Path) -> None:
    deep = (
        "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(2000)) + PLAIN + "text\n"
    )
    read(tmp_path, "deep.eml", HEAD + deep)
    attached = "Content-Type: message/rfc822\n\n" * 2000
    read(tmp_path, "attached.eml", HEAD + attached + "\ntext")
    long_line = HEAD.encode() + b"Subject: " + b"s" * 1_000_000 + b"\n\n" + b"x" * 1_000_000
    assert len(read(tmp_path, "long.eml", long_line).title) == 500


def test_a_saved_page_is_read_like_a_page(tmp_path: Path) -> None:
    page = "<html><head><title>Engines</title></head><body><p>" + "A wheel =\nturns. " * 20 + "</p></body></html>"
    root = "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\nContent-Location: https://x.org/\n\n"
    image = "Content-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBOR"
    saved = "From: <Saved by Blink>\nSnapshot-Content-Location: https://x.org/a\nSubject: S\n"
    saved += "Date: Sat, 31 Jan 2026 10:02:00 +0100\n"
    document = read(tmp_path, "a.mhtml", saved + multipart("related", root + page, image))
    assert (document.title, document.text) == ("Engines", "A wheel turns. " * 19 + "A wheel turns.")
    assert document.metadata == {"format": "mhtml", "date": "2026-01-31T10:02:00+01:00", "url": "https://x.org/a"}
    assert reason(tmp_path, "b.mht", saved + "\nno page") == "damaged"
