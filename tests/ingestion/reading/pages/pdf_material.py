"""PDFs made by hand: a few objects, put into a file."""

from __future__ import annotations

from collections.abc import Sequence

FONT = "/Resources << /Font << /F1 3 0 R >> >>"
PICTURE = "q 400 0 0 500 50 100 cm BI /W 2 /H 2 /CS /G /BPC 8 /F /AHx ID 00FF00FF> EI Q"  # an image of 2 by 2 points


def text(*lines: str, size: int = 12) -> str:
    """Return the drawing of lines, one below the other."""
    return f"BT /F1 {size} Tf 72 720 Td " + " ".join(f"({line}) Tj 0 -14 Td" for line in lines) + " ET"


def pdf(
    pages: Sequence[str],
    more: Sequence[str] = (),
    *,
    catalogue: str = "",
    on_pages: Sequence[str] = (),
    about: str = "",
) -> bytes:
    """Return a PDF. pages: what is drawn on each. more: objects, from number 10 on.

    catalogue, on_pages, about: further entries of the catalogue, of each page (number 100 is the first) and of the
    information dictionary.
    """
    objects = {
        1: f"<< /Type /Catalog /Pages 2 0 R {catalogue} >>",
        2: f"<< /Type /Pages /Kids [{' '.join(f'{100 + at} 0 R' for at in range(len(pages)))}] /Count {len(pages)} >>",
        3: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        4: f"<< {about} >>",
    }
    objects |= dict(enumerate(more, start=10))
    for at, drawn in enumerate(pages):
        own = on_pages[at] if at < len(on_pages) else ""
        objects[100 + at] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {500 + at} 0 R {FONT} {own} >>"
        )
        objects[500 + at] = f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream"
    data, table = "%PDF-1.6\n", ""
    for number, body in sorted(objects.items()):
        table += f"{number} 1\n{len(data):010} 00000 n \n"
        data += f"{number} 0 obj\n{body}\nendobj\n"
    trailer = f"<< /Size {max(objects) + 1} /Root 1 0 R /Info 4 0 R >>"
    return f"{data}xref\n0 1\n0000000000 65535 f \n{table}trailer\n{trailer}\nstartxref\n{len(data)}\n%%EOF\n".encode(
        "latin-1"
    )
