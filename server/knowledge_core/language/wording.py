"""Text to the words and trigrams that the lexical index holds: one tokenizer for every language, documents and queries.

Rules kept here:
- Pure, deterministic, and linear in the length of the text; `words`, `spans` and `spellings` give the same tokens.
- Words are normalised to Unicode form NFKC and case folded; ASCII words are stemmed as English, others are not stemmed.
- Scripts written without spaces, and Hangul whose particles stick to the word, become pairs of characters.
- Identifiers (snake_case, camelCase) are tokens as a whole and in their parts.
- Words of alphabets have trigrams, too: of the unstemmed word, with a mark at either end. Pairs of characters have none,
  since the pairs do the same for them (nDCG@10 on jsquad .937 with trigrams, .937 without).
- A token holds no white space, is never empty, and has at most LONGEST characters.

Whoever changes a rule raises WORDING_VERSION: existing indexes hold tokens by the old rules.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator, Set
from functools import lru_cache
from itertools import pairwise

import Stemmer

WORDING_VERSION = 2
LONGEST = 128  # characters: a SHA-512 in hexadecimal still fits; Tantivy drops what is over 65,530 bytes
READ_OF_A_RUN = 256  # characters: of a longer run (base64, minified code) only the beginning counts
REMEMBERED = 65_536  # different runs in each cache; the English text of 5,000 abstracts has 50,000
TRIGRAM = 3
# Before and after a word: so its first and last letters count more, and a word of one letter has a trigram.
EDGE = "_"

OPTIONAL = (  # ignored inside a word: soft hyphen and joiners; points of Hebrew and Arabic, and tatweel
    "\u00ad\u200c\u200d\u2060\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670"
)
SOUND_MARKS = "\u3099\u309a\uff9e\uff9f"  # of kana that are written as two characters
HANGUL_PARTS = "\u1100-\u11ff"
PAIRED = (
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
    "\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Hiragana, Katakana
    "\uac00-\ud7a3" + HANGUL_PARTS + "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ece"  # Hangul, Thai, Lao
    "\u1000-\u103f\u1050-\u108f\u1780-\u17d3"  # Myanmar, Khmer
)
PAIRED_RUN = re.compile(f"[{PAIRED}]+")
WITHOUT_SPACES = re.compile(f"(?![\uac00-\ud7a3{HANGUL_PARTS}])[{PAIRED}]")
FIRST_PAIRED = "\u0e01"


def _marks() -> str:
    """Return the combining marks as the inside of a character class: `re` has no class for them, and \\w leaves them out.

    Only the blocks of scripts with marks are searched; all of Unicode would take 0.1 s.
    """
    blocks = (range(0x300, 0x3100), range(0xA66F, 0xAC00), range(0xFB1E, 0xFE30), range(0x10A00, 0x11F60))
    marks = (chr(code) for block in blocks for code in block if unicodedata.category(chr(code))[0] == "M")
    return "".join(mark for mark in marks if not PAIRED_RUN.match(mark))


MARKS = _marks()
RUN = (
    re.compile(  # the first alternative matches most text, three times as fast as the third, which would match it, too
        rf"[a-zA-Z0-9_]++(?![^\x00-\x7f])|[{PAIRED}]+|[^\W{PAIRED}]+(?:[{MARKS}{OPTIONAL}]+[^\W{PAIRED}]*)*"
    )
)
LETTER = re.compile(rf"[\u1100-\u115f][\u1160-\u11a7][\u11a8-\u11ff]?|.[{MARKS}{SOUND_MARKS}]*", re.DOTALL)
HUMP = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # URLs, HTTP, Server, page, 2
OPTIONAL_MARK = re.compile(f"[{OPTIONAL}]+")


class _Stemmers(threading.local):
    """One stemmer per thread: a stemmer has a buffer that two threads must not use at the same time."""

    def __init__(self) -> None:
        self.english = Stemmer.Stemmer("english")


_stemmers = _Stemmers()


def words(text: str) -> list[str]:
    """Return the tokens of a text in their order, each as often as it occurs.

    >>> words("Chunks of max_length")
    ['chunk', 'of', 'max_length', 'max', 'length']
    >>> words("東京都 2024")
    ['東京', '京都', '2024']
    """
    found: list[str] = []
    for run in RUN.findall(text):
        if _is_paired(run):
            found += [token for token, _, _ in _pairs(run, 0)]
        else:
            found += _word(run[:READ_OF_A_RUN])
    return found


def terms(text: str) -> tuple[str, str]:
    """Return the tokens of a text and its trigrams, each separated by spaces: what `words` and `trigrams` give, in one pass.

    >>> terms("A cat, 東京")
    ('a cat 東京', '_a_ _ca cat at_')
    """
    tokens: list[str] = []
    letters: list[str] = []
    for run in RUN.findall(text):
        if _is_paired(run):
            tokens += [token for token, _, _ in _pairs(run, 0)]
            continue
        of_words, of_letters = _terms(run)
        if of_words:  # empty for a run that holds no letter, as an underscore
            tokens.append(of_words)
        if of_letters:
            letters.append(of_letters)
    return " ".join(tokens), " ".join(letters)


def trigrams(text: str) -> str:
    """Return the trigrams of a text's words, separated by spaces, each as often as it occurs.

    >>> trigrams("A cat, 東京")
    '_a_ _ca cat at_'
    """
    return terms(text)[1]


def spellings(text: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the tokens and the trigrams of every run of letters and digits, in the order of the text.

    >>> spellings("cats 東京")
    [(('cat',), ('_ca', 'cat', 'ats', 'ts_')), (('東京',), ())]
    """
    found: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for run in RUN.findall(text):
        if _is_paired(run):
            found.append((tuple(token for token, _, _ in _pairs(run, 0)), ()))
        else:
            found.append((_word(run[:READ_OF_A_RUN]), tuple(_terms(run)[1].split())))
    return found


def spaceless(text: str) -> bool:
    """Say whether most letters of a text belong to scripts that are written without spaces; Hangul is not.

    >>> spaceless("東京都 2024"), spaceless("서울은 크다"), spaceless("Tokyo (東京)")
    (True, False, False)
    """
    letters = sum(map(str.isalpha, text))
    return letters > 0 and 2 * sum(map(len, WITHOUT_SPACES.findall(text))) > letters


def spans(text: str) -> list[tuple[str, int, int]]:
    """Return the tokens in the order of the text: (token, start, end), read from the characters text[start:end].

    The parts of an identifier have the range of the whole identifier.
    """
    found: list[tuple[str, int, int]] = []
    for run in RUN.finditer(text):
        if _is_paired(run[0]):
            found += _pairs(run[0], run.start())
        else:
            found += [(token, run.start(), run.end()) for token in _word(run[0][:READ_OF_A_RUN])]
    return found


def spans_among(text: str, tokens: Set[str]) -> list[tuple[str, int, int]]:
    """Return the `spans` whose token is one of `tokens`, ordered by place.

    Several times as fast as `spans` for a few tokens: every different run is tokenised once, and only runs that give one of
    the tokens are then searched for in the text.
    """
    if not text.isascii() and any(map(_is_intricate, set(text))):
        return [span for span in spans(text) if span[0] in tokens]
    counting = [run for run in set(RUN.findall(text)) if not tokens.isdisjoint(_word(run[:READ_OF_A_RUN]))]
    found: list[tuple[str, int, int]] = []
    for run in counting:
        made = [token for token in _word(run[:READ_OF_A_RUN]) if token in tokens]
        found += [(token, start, end) for start, end in _occurrences(run, text) for token in made]
    return sorted(found, key=lambda span: (span[1], span[0]))


def _occurrences(run: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) wherever a run stands as a whole, in a text without intricate letters."""
    start = text.find(run)
    while start >= 0:
        end = start + len(run)
        if not (start > 0 and _continues(text[start - 1])) and not (end < len(text) and _continues(text[end])):
            yield start, end
        start = text.find(run, end)


@lru_cache(REMEMBERED)
def _is_intricate(letter: str) -> bool:
    """Say whether runs may begin or end at this letter in ways that `str.isalnum` does not show."""
    return letter in MARKS or PAIRED_RUN.match(letter) is not None or OPTIONAL_MARK.match(letter) is not None


def _continues(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def _is_paired(run: str) -> bool:
    return run >= FIRST_PAIRED and PAIRED_RUN.match(run) is not None


def _pairs(run: str, start: int) -> Iterator[tuple[str, int, int]]:
    """Yield the pairs of neighbouring characters of a run, or its only character, with their range."""
    letters = list(_letters(run, start))
    if len(letters) == 1:
        yield letters[0]
    for (one, first, _), (other, _, last) in pairwise(letters):
        yield one + other, first, last


def _letters(run: str, start: int) -> Iterator[tuple[str, int, int]]:
    """Yield the normalised characters of a run, each with the range of the characters it was read from."""
    if unicodedata.is_normalized("NFKC", run):
        for i, letter in enumerate(run, start):
            yield letter, i, i + 1
        return
    for written in LETTER.finditer(run):
        for letter in unicodedata.normalize("NFKC", written[0]):
            yield letter, start + written.start(), start + written.end()


@lru_cache(REMEMBERED)
def _word(run: str) -> tuple[str, ...]:
    """Return the tokens of a run of letters and digits: the word, or an identifier and its parts."""
    run = OPTIONAL_MARK.sub("", run).strip("_")
    parts = [part for part in run.split("_") if part]
    if run.isascii():
        parts = [hump for part in parts for hump in HUMP.findall(part)]
    tokens = _normal(run)
    if len(parts) > 1:
        for part in parts:
            if len(part) > 1:  # the m of mRNA and the i of iPhone are noise
                tokens += _normal(part)
    return tuple(tokens)


def _normal(run: str) -> list[str]:
    """Return a run folded and stemmed."""
    return [_stemmers.english.stemWord(token) if token.isascii() else token for token in _folded(run)]


def _folded(run: str) -> list[str]:
    """Return the words of a run, normalised, case folded and cut to LONGEST; several where NFKC splits the run (½ is 1/2)."""
    if run.isascii():
        folded = [run.lower()]
    else:
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", run).casefold())
        # The Turkish capital I with a dot folds to an i with a mark, which its lower case does not have.
        folded = [found[0].strip("_") for found in RUN.finditer(plain.replace("i\u0307", "i"))]
    return [token for token in (word[:LONGEST] for word in folded) if token]


@lru_cache(REMEMBERED)
def _terms(run: str) -> tuple[str, str]:
    """Return the tokens of a run of letters and digits, and its trigrams, each separated by spaces."""
    return " ".join(_word(run[:READ_OF_A_RUN])), _spelt(run)


def _spelt(run: str) -> str:
    """Return the trigrams of a run's unstemmed words, separated by spaces, as the index takes them."""
    marked = [f"{EDGE}{word}{EDGE}" for word in _folded(OPTIONAL_MARK.sub("", run[:READ_OF_A_RUN]).strip("_"))]
    return " ".join(word[at : at + TRIGRAM] for word in marked for at in range(len(word) - TRIGRAM + 1))
