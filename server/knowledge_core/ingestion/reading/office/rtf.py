"""Rich text to Markdown.

Own, because the library for it (striprtf 0.0.35) keeps as many words (.971 of those that pandoc finds in 63 public files;
this reader .972) but no heading, no list and no table that the chunker could know, no footnote and no text box, reads hidden
text, and searches for links in time that is not linear: 0.6 MB of them did not end within nine minutes.
"""

from __future__ import annotations

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.office.rtf_text import RichText
from knowledge_core.ingestion.reading.parsed import Parsed, facts
from knowledge_core.ingestion.reading.properties import day, person, sensible_title, tags_of


def read_rtf(data: bytes, name: str) -> Parsed:
    """Return a rich text file as Markdown. No bytes make it fail: what is damaged costs the text that is in it."""
    rich = RichText(data.decode("latin-1"))
    about = rich.about
    found = facts(
        author=person(about.get("author", "")),
        date=_day(about, "creatim"),
        modified=_day(about, "revtim"),
        description=about.get("doccomm", "")[:2000],
        subject=about.get("subject", "")[:300],
        tags=tags_of(about.get("keywords", "")),
    )
    title = sensible_title(about.get("title", "")) or rich.blocks.first_heading
    return Parsed(clean_text(rich.blocks.text()), title, from_file(found, {"format": "rtf"}))


def _day(about: dict[str, str], when: str) -> str:
    year, month, date = (int(about.get(f"{when} {part}", 0)) for part in ("yr", "mo", "dy"))
    return day(f"{year:04}-{month:02}-{date:02}")
