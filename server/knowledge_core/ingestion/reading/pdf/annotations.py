"""What lies on a PDF's pages beside their text: values of forms, and what people noted.

Called by `pdfium.py` alone, under its lock. Annotations that only lead somewhere (links, attachments) are passed over.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

import pypdfium2
from pypdfium2 import raw

_MOST = 20_000  # annotations of a document; a form of 100 pages has about 3,000
_MOST_TEXT = 5_000_000  # characters of them all: one value may stand on any number of pages
_NOTES = frozenset({
    raw.FPDF_ANNOT_TEXT, raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_LINE, raw.FPDF_ANNOT_SQUARE, raw.FPDF_ANNOT_CIRCLE,
    raw.FPDF_ANNOT_POLYGON, raw.FPDF_ANNOT_POLYLINE, raw.FPDF_ANNOT_HIGHLIGHT, raw.FPDF_ANNOT_UNDERLINE,
    raw.FPDF_ANNOT_SQUIGGLY, raw.FPDF_ANNOT_STRIKEOUT, raw.FPDF_ANNOT_STAMP, raw.FPDF_ANNOT_CARET, raw.FPDF_ANNOT_INK,
})  # fmt: skip
_WRITTEN = frozenset({raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX})
_TICKED = frozenset({raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON})
_PASSWORD = 1 << 13  # a text field's flag (ISO 32000-1, table 228)
_UNSEEN = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW
_SAYS_YES = re.compile(r"(on|off|yes|ja|oui|si|true|x|\d+)?", re.IGNORECASE)  # what programs call a box that is ticked

Fields = tuple[tuple[str, str], ...]


class Annotations:
    """The annotations of one open document, read page by page within bounds."""

    def __init__(self, document: pypdfium2.PdfDocument) -> None:
        self._left, self._room = _MOST, _MOST_TEXT
        with contextlib.suppress(pypdfium2.PdfiumError):  # a damaged form; the pages' text is there all the same
            document.init_forms()
        self._form = document.formenv

    def of(self, page: pypdfium2.PdfPage) -> tuple[Fields, tuple[str, ...]]:
        """Return the filled fields of a page, name and value, and its notes, each once."""
        fields: dict[tuple[str, str], None] = {}
        notes: dict[str, None] = {}
        for index in range(max(0, raw.FPDFPage_GetAnnotCount(page))):
            if self._left <= 0 or self._room <= 0:
                break
            self._left -= 1
            annotation = raw.FPDFPage_GetAnnot(page, index)
            if not annotation:
                continue
            try:
                kind = raw.FPDFAnnot_GetSubtype(annotation)
                if kind == raw.FPDF_ANNOT_WIDGET and self._form:
                    fields |= dict.fromkeys(self._field(annotation))
                elif kind in _NOTES and (said := self._string(annotation, b"Contents")):
                    notes[said] = None
            finally:
                raw.FPDFPage_CloseAnnot(annotation)
        return tuple(fields), tuple(notes)

    def _field(self, annotation: Any) -> list[tuple[str, str]]:
        kind = raw.FPDFAnnot_GetFormFieldType(self._form, annotation)
        if raw.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
            return []
        value = ""
        if kind in _WRITTEN and not (
            kind == raw.FPDF_FORMFIELD_TEXTFIELD and raw.FPDFAnnot_GetFormFieldFlags(self._form, annotation) & _PASSWORD
        ):
            value = self._read(raw.FPDFAnnot_GetFormFieldValue, self._form, annotation)
        elif kind == raw.FPDF_FORMFIELD_LISTBOX:
            value = self._chosen(annotation)
        elif kind in _TICKED and raw.FPDFAnnot_IsChecked(self._form, annotation):
            value = self._read(raw.FPDFAnnot_GetFormFieldExportValue, self._form, annotation)
            value = "yes" if _SAYS_YES.fullmatch(value) else value
        return [(self._name(annotation), value)] if value else []

    def _name(self, annotation: Any) -> str:
        """Return what a field is called: the words meant for people, else the last part of its name."""
        if said := self._read(raw.FPDFAnnot_GetFormFieldAlternateName, self._form, annotation):
            return " ".join(said.split())
        name = self._read(raw.FPDFAnnot_GetFormFieldName, self._form, annotation)
        return re.sub(r"\[\d+\]$", "", name.rpartition(".")[2])

    def _chosen(self, annotation: Any) -> str:
        """Return the chosen lines of a list, with commas between."""
        count = min(raw.FPDFAnnot_GetOptionCount(self._form, annotation), self._left)
        chosen = [at for at in range(count) if raw.FPDFAnnot_IsOptionSelected(self._form, annotation, at)]
        self._left -= max(0, count)
        return ", ".join(self._read(raw.FPDFAnnot_GetOptionLabel, self._form, annotation, at) for at in chosen)

    def _string(self, annotation: Any, key: bytes) -> str:
        if raw.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
            return ""
        return self._read(raw.FPDFAnnot_GetStringValue, annotation, key)

    def _read(self, function: Callable[..., int], *arguments: Any) -> str:
        """Return a text that PDFium gives as UTF-16 in a buffer of ours; "" where it is longer than what is left."""
        size = function(*arguments, None, 0)  # bytes, with two that end the text
        if size <= 2 or size // 2 > self._room:
            return ""
        buffer = (raw.FPDF_WCHAR * (size // 2 + 1))()
        function(*arguments, buffer, size)
        text = bytes(buffer)[: size - 2].decode("utf-16-le", "replace").replace("\r\n", "\n").replace("\r", "\n")
        self._room -= len(text)
        return text.strip()
