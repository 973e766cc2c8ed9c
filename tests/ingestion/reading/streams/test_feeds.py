"""Feeds of every kind: entries as sections, their HTML as text, whatever the file is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from ingestion_material import checked_chunks, count_words
from read_by_name import read

RSS_2 = """<?xml version="1.0"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:media="http://search.yahoo.com/mrss/">
<channel><title>The Blog</title><link>https://x.org/</link><description>About &lt;b&gt;things&lt;/b&gt;</description>
<item><media:title>no</media:title><title>First &amp;amp; best</title><link>https://x.org/1</link><dc:creator>Ann</dc:creator>
<pubDate>Sat, 31 Jan 2026 10:02:00 +0100</pubDate><category>One</category><category>Two</category>
<description>A wheel turns. [...]</description>
<content:encoded><![CDATA[<h2>Wheels</h2><p>A wheel turns. Fast.</p><ul><li>a</li></ul>]]></content:encoded></item>
<item><description>Only # text, without a title</description></item></channel></rss>"""

ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title type="html">The &lt;i&gt;Feed&lt;/i&gt;</title>
<author><name>Ann</name></author><updated>2026-01-31T10:02:00Z</updated><link rel="self" href="https://x.org/feed"/><link href="https://x.org/"/>
<entry><title>One</title><link rel="alternate" href="https://x.org/1"/><updated>2026-01-30T10:02:00Z</updated>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Some <b>bold</b> text</p><pre>a
 b</pre></div></content></entry>
<entry><title>Two</title><summary>Plain &lt; text</summary><category term="tag"/></entry></feed>"""

RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>Old</title><link>https://x.org/</link></channel>
<item><title>Entry</title><link>https://x.org/1</link><dc:date>2005-12-02T01:46:23Z</dc:date><description>Words.</description></item></rdf:RDF>"""


def test_rss_is_read_entry_by_entry_with_the_whole_text_and_no_summary_of_it(tmp_path: Path) -> None:
    document = read(tmp_path, "a.rss", RSS_2)
    assert document.title == "The Blog"
    assert document.text == (
        "About things\n\n## First & best\n\n2026-01-31T10:02:00+01:00; Ann; https://x.org/1\n\n"
        "#### Wheels\n\nA wheel turns. Fast.\n\n- a"
        "\n\nTags: One, Two\n\n## (no title)\n\nOnly # text, without a title"
    )
    assert document.metadata == {"format": "feed", "description": "About things", "url": "https://x.org/"}
    chunks = checked_chunks(document, count_words, 12)
    assert {chunk.heading[0] for chunk in chunks if chunk.heading} == {"First & best", "(no title)"}


def test_atom_is_read_whatever_form_its_content_has(tmp_path: Path) -> None:
    document = read(tmp_path, "a.atom", ATOM)
    assert document.title == "The Feed"
    assert document.text == (
        "## One\n\n2026-01-30T10:02:00Z; https://x.org/1\n\nSome bold text\n\n"
        "```\na\n b\n```\n\n## Two\n\nPlain < text\n\nTags: tag"
    )
    assert document.metadata == {
        "format": "feed",
        "author": "Ann",
        "date": "2026-01-31T10:02:00Z",
        "url": "https://x.org/",
    }


def test_rss_1_is_read(tmp_path: Path) -> None:
    document = read(tmp_path, "a.rdf", '<?xml version="1.0"?>' + RDF)
    assert (document.title, document.metadata["format"]) == ("Old", "feed")
    assert document.text == "## Entry\n\n2005-12-02T01:46:23Z; https://x.org/1\n\nWords."


@pytest.mark.parametrize(
    "feed", [RSS_2, ATOM, RDF, "<!-- x --><!DOCTYPE rss [<!ENTITY a 'b'>]>\n" + RSS_2[RSS_2.index("<rss") :]]
)
def test_a_feed_is_known_by_what_is_in_it(tmp_path: Path, feed: str) -> None:
    assert read(tmp_path, "a.xml", feed).metadata["format"] == "feed"


def test_a_feed_in_its_own_encoding_is_read_by_its_declaration(tmp_path: Path) -> None:
    feed = RDF.replace("Words.", "Да.")
    data = b'<?xml version="1.0" encoding="koi8-r"?>' + feed.encode("koi8_r")
    assert read(tmp_path, "a.xml", data).text.endswith("Да.")


def test_damaged_feeds_lose_little(tmp_path: Path) -> None:
    assert "Words & more" in read(tmp_path, "a.rss", RDF.replace("Words.", "Words & more")).text
    assert "## First & best" in read(tmp_path, "a.rss", RSS_2[: RSS_2.index("<content:encoded")]).text
    assert read(tmp_path, "a.rss", "no feed at all").text == "no feed at all"
    assert read(tmp_path, "a.rss", "<note><to>Bob</to></note>").text == "- to: Bob"
