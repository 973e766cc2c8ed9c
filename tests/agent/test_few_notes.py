"""A newcomer's dozen notes, by the packaged model over a real pipe: ranked by what they say, not by what looks alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from owner_processes import RawPipe

NOTES = {
    "passport": "Passport expires 3 March 2027. Renewal takes six weeks, bring two photographs.",
    "cat": "Minka gets half a tablet against worms every three months; the vet is Dr. Lindqvist.",
    "car": "Winter tyres are in the cellar. The inspection is due in October, the brake pads are worn.",
    "bread": "Sourdough: feed the starter at eight, fold four times, bake at 240 degrees with steam.",
    "boiler": "The boiler shows F.28 when the gas pressure is low: hold reset for five seconds.",
    "rent": "The landlord raises the rent by 4 % from January; the deposit is three months.",
    "backup": "restic runs nightly to the NAS; once a month the disk goes to my brother's flat.",
    "parsePassport.js": "export function parsePass(text) { const tort = text.match(/pass/); return tort; }",
    "school": "Parents' evening is on the ninth; Jonas needs a new maths workbook and gym shoes.",
    "books": "To read: The Dispossessed, Middlemarch, The Making of the Atomic Bomb.",
}
ARABIC = {
    "river": "يجري النهر من الجبال إلى البحر ويسقي الحقول في الربيع",
    "bread": "يخبز الخباز الخبز في الفرن كل صباح قبل شروق الشمس",
    "school": "يذهب الأطفال إلى المدرسة ويتعلمون القراءة والحساب",
    "doctor": "يفحص الطبيب المرضى في المستشفى ويكتب لهم الدواء",
    "train": "يصل القطار إلى المحطة في الساعة السابعة مساء",
    "market": "يبيع التاجر الفواكه والخضروات في السوق القديم",
    "moon": "يدور القمر حول الأرض مرة كل شهر تقريبا",
    "garden": "تزرع الجدة الورود والأعشاب في حديقة البيت",
}


@pytest.fixture(scope="module")
def pipe(library: Path):
    with RawPipe(library) as opened:
        opened.initialize()
        for collection, notes in (("dozen", NOTES), ("arabic", ARABIC)):
            documents = [{"id": id, "text": text} for id, text in notes.items()]
            said = opened.call("index", collection=collection, documents=documents, wait_seconds=60)
            assert said["result"]["structuredContent"]["state"] == "done", said
        yield opened
        for collection in ("dozen", "arabic"):
            opened.call("delete", collection=collection, all=True, confirm=True)


def hits(pipe: RawPipe, query: str, collection: str = "dozen") -> list[dict]:
    said = pipe.call("search", query=query, collections=[collection])
    return said["result"]["structuredContent"]["hits"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("renew travel document", "passport"),
        ("deworming the pet", "cat"),
        ("when do I get the car checked", "car"),
        ("heater fault code", "boiler"),
        ("F.28", "boiler"),
        ("monthly housing cost", "rent"),
        ("offsite copy of my data", "backup"),
        ("teacher conference", "school"),
        ("novels", "books"),
        ("passpotr renewal", "passport"),
    ],
)
def test_the_note_that_answers_comes_before_those_that_share_letters_with_the_question(pipe, query, wanted):
    assert hits(pipe, query)[0]["document"] == wanted


@pytest.mark.parametrize("query", ["quarterly derivatives hedging", "xylophone zebra quilt", "the of and passing"])
def test_a_question_that_nothing_answers_scores_low_in_few_notes_too(pipe, query):
    assert hits(pipe, query)[0]["score"] < 0.3


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("القطار", "train"), ("الطبيب والدواء", "doctor"), ("حديقة الورود", "garden"), ("متى يدور القمر", "moon")],
)
def test_in_a_language_that_the_model_cannot_read_words_decide_in_few_notes_too(pipe, query, wanted):
    assert hits(pipe, query, "arabic")[0]["document"] == wanted
