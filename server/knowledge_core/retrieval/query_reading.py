"""A query as agents write it: what of it is searched for, and what its writer should know. Pure.

A query is text, and all of it is searched for as it stands. Other search boxes have a language of their own (a star for
everything, a minus, `title:`, AND, OR, NOT, `a|b`); here such signs are letters like any other, and the answer says once
what does the same. It says so only where that is likely meant: these signs are as common in commands, code, paths, times and
arithmetic, which are searched for every day. So nothing is told of a text of several lines or of many words. Measured: of
10,624 shell commands (nl2bash) 4 are told something, of 20,000 titles of questions on programming 5, of 14,228 queries of
judged sets none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knowledge_core.errors import quoted
from knowledge_core.language.lexical_query import QUERY_WORDS, kept_words
from knowledge_core.language.stop_words import ENGLISH_FUNCTION_WORDS, without_stop_words
from knowledge_core.language.wording import spans, words

LONGEST = 12_000  # characters of a query or an example that are read; of a longer one the middle is left out
LINES_OF_A_LOG = 8  # of a text that is a log or a stack trace, and no prose
LAST_READ = 400  # characters of such a text that are read for meaning: its first line, and its last ones
FEW_WORDS = 16  # a query of more is a passage, a log or code: its signs are none of a query language

WITHOUT_WORDS = (
    "The query has no word in it, so nothing was searched for. list_documents lists what a collection holds, with or without "
    "a filter; list_collections shows what there is."
)
FOR_ALL = (
    "For all documents use list_documents (with or without a filter): a search only ranks passages by these words."
)


@dataclass(frozen=True)
class Reading:
    """A query as it is searched for.

    text: what is searched for, by meaning as it is. words: the part of it that is searched for by words, blanks for the rest.
    has_words: whether anything can be found by it. notices: what the caller should know.
    """

    text: str
    words: str
    has_words: bool
    notices: tuple[str, ...] = ()


def read(query: str) -> Reading:
    """Return a query as it is searched for.

    >>> read("*").has_words, read("to be or not to be").has_words
    (False, True)
    >>> read("tar -xzf backup.tar.gz").notices, len(read("jaguar -car").notices)
    ((), 1)
    """
    text = shortened(query)
    notices = [about_length("The query", query)]
    if not words(text):
        return Reading(text, "", False, (*filter(None, notices), WITHOUT_WORDS))
    kept, count = _most_frequent(without_stop_words(text))
    if count > QUERY_WORDS:
        notices.append(f"Of the query's {count:,} different words the {QUERY_WORDS:,} most frequent are searched for.")
    return Reading(text, kept, True, (*filter(None, notices), *_signs(text)))


def _most_frequent(text: str) -> tuple[str, int]:
    """Return a text with at most `QUERY_WORDS` different words, the most frequent ones, and how many it has."""
    if len(text) <= QUERY_WORDS:
        return text, 0
    found = spans(text)
    counted = Counter(word for word, _, _ in found)
    chosen = kept_words(counted)
    letters = list(text)
    for _, start, end in [each for each in found if each[0] not in chosen]:
        letters[start:end] = " " * (end - start)
    return "".join(letters), len(counted)


def shortened(text: str) -> str:
    """Return a text of at most `LONGEST` characters: its beginning and its end, where a stack trace says what happened."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}\n{text[-half + 1 :]}"


def about_length(what: str, text: str) -> str:
    """Return that a text was shortened, as a sentence; "" if it was not. what: it is, as in "The query"."""
    if len(text) <= LONGEST:
        return ""
    half = f"{LONGEST // 2:,}"
    return f"{what} has {len(text):,} characters: the first {half} and the last {half} were read, the rest was cut."


def telling_part(text: str, room: int) -> str:
    """Return what is read for meaning of a text that is longer than a model reads: at most `room` characters, or a bit more.

    Of a prose text its beginning. Of many lines, as a log or a stack trace, the first line and the last ones: there it says what
    happened, and the lines between say the same again and again.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) < LINES_OF_A_LOG:
        return text
    first = lines[0][: room // 2]
    kept: list[str] = []
    left = min(room, LAST_READ) - len(first)
    for line in reversed(lines[1:]):
        left -= len(line) + 1
        if left < 0 and kept:
            break
        kept.append(line)
    return "\n".join([first, *reversed(kept)])


def about_meaning(read: str, text: str, *, by_words: bool) -> str:
    """Return which part of a text the model reads, as a sentence. by_words: whether it is searched for by its words, too."""
    rest = "all of it counts for words" if by_words else "the rest was not read"
    if text.startswith(read):
        return f"The first {len(read):,} of {len(text):,} characters of the query were read for meaning; {rest}."
    return (
        f"Of the query's {len(text):,} characters its first line and its last ones, {len(read):,} characters, were read for "
        f"meaning; {rest}."
    )


# -- signs of other search boxes ---------------------------------------------------------------------------------------

_ALL_WRITTEN = "* all every everything list show alle alles tous tout toutes todo todos todas tutti tutto"
_ALL = frozenset(_ALL_WRITTEN.split())
_THINGS_WRITTEN = (
    "the me of in my our your from what is are there this these available existing indexed stored please give get any "
    "document documents doc docs file files note notes entry entries item items record records page pages chunk chunks content "
    "contents data collection collections knowledge base dokumente dateien les los las le i fichiers documentos documenti"
)
_THINGS = frozenset(_THINGS_WRITTEN.split())
_PREFIX = re.compile(
    r"(?i)(title|intitle|path|site|inurl|filetype|ext|file|filename|folder|tag|tags|author|source|before|after):(?!//)[\"\w]\S*"
)
_FIELD_OF = {
    "intitle": "title", "path": "id", "inurl": "uri", "site": "uri", "filetype": "id", "ext": "id", "file": "id",
    "filename": "id", "folder": "id", "tag": "tags", "before": "modified", "after": "modified",
}  # fmt: skip
_EXCLUDED = re.compile(r"-(?:\w*[^\W\d_]{3}\w*|\".+)")  # -word, -"a phrase"; not -v, -40
_OF_CODE = re.compile(r"[\\/$={}()<>;`~]|^[|&]+$|\w\.\w|::|^-{2}|^-\w$|^[A-Z][a-z]+-[A-Z]")
_COMMANDS_WRITTEN = (
    "adb apt awk aws az basename bash bc brew cal cargo cat cd chgrp chmod chown clang cmake cmd column comm conda convert "
    "cp cpio cron crontab curl cut date dd df diff dig dir dirname dmesg docker dotnet du echo egrep env exec export ffmpeg "
    "ffprobe fgrep file find ftp g++ gcc gcloud gem gh git go gpg gradle grep gunzip gzip head helm host hostname ifconfig "
    "install ip iptables java javac join journalctl jq kill kubectl ldd less ln ls lshw lsof magick make man mkdir mount mv "
    "mvn mysql nano nc net netsh netstat nginx nice nl nmap node nohup npm npx nslookup od openssl pandoc paste perl php "
    "ping pip pip3 pkill pnpm podman powershell ps psql pwd pwsh pytest python python3 qemu rclone readlink realpath rename "
    "rev rg rm robocopy rsync ruby rustc sc scp screen sed seq service set sftp sh sort split sqlite3 ss ssh stat strace su "
    "sudo svn systemctl tac tail tar tasklist tee telnet terraform test tmux top touch tr traceroute tree umask uname uniq "
    "unzip uv vagrant vi vim watch wc wget which xargs xcodebuild xcopy yarn yum zip zsh"
)
_COMMANDS = frozenset(_COMMANDS_WRITTEN.split())
_OF_COMMANDS = re.compile(r"^-|^[|&]+$|[\\/$`'{<>]")
_BOOLEAN = frozenset(("AND", "OR", "NOT"))
_OF_LOGIC_WRITTEN = (
    "and or not gate gates logic logical operator operators boolean keyword xor nand nor select from where insert update delete "
    "null exists join sql table between"
)
_OF_LOGIC = frozenset(_OF_LOGIC_WRITTEN.split())
_ALTERNATIVES = re.compile(r"\(?\w[\w.-]*(?:\|\w[\w.-]*)+\)?")
_TYPES_WRITTEN = (
    "none null undefined int str string number bool boolean float bytes object any list dict tuple set never void unknown "
    "true false"
)
_TYPES = frozenset(_TYPES_WRITTEN.split())
_PATTERN = re.compile(r"\w\.[*+]\??\w")
_GLOB = re.compile(r"\*\.\w+|[\w./-]*\w{2}\*|[\w./*-]*\w/[\w./*-]*\*[\w./*-]*")


def _signs(query: str) -> list[str]:
    """Return what to use instead of the signs that a query seems to take from another search box, each kind once."""
    tokens = query.split()
    if len(tokens) > FEW_WORDS or "\n" in query.strip():
        return []
    if _asks_for_all(tokens):
        return [FOR_ALL]
    told: Sequence[Callable[[Sequence[str]], str]] = (_about_patterns, _about_excluding)
    return [*filter(None, (each(tokens) for each in told))]


def _asks_for_all(tokens: Sequence[str]) -> bool:
    plain = [token.strip(".,!?\"'").lower() for token in tokens]
    return not _ALL.isdisjoint(plain) and all(token in _ALL or token in _THINGS for token in plain)


def _about_patterns(tokens: Sequence[str]) -> str:
    alternatives = [token for token in tokens if _ALTERNATIVES.fullmatch(token)]
    alternatives = [
        each for each in alternatives if (_TYPES | _COMMANDS).isdisjoint(each.lower().strip("()").split("|"))
    ]
    plain = not any(_OF_COMMANDS.search(token) for token in tokens)
    if plain and (alternatives or any(map(_PATTERN.search, tokens))):
        return (
            'A query is no pattern, and each of its words may be missing from a hit: for "a|b" write a b, or several searches. '
            'To find what a regular expression matches use match: "regex".'
        )
    if len(tokens) == 1 and _GLOB.fullmatch(tokens[0]):
        return (
            "* stands for itself in a query, whose words are found in other forms, too. Names of documents are chosen by "
            f'filter: {{"id": {{"$glob": {_json(tokens[0])}}}}}.'
        )
    return ""


def _about_excluding(tokens: Sequence[str]) -> str:
    example = _excluded(tokens) or _restricted(tokens) or _boolean(tokens)
    if not example:
        return ""
    sign, filter = example
    return f"{quoted(sign)} is taken literally, as all of a query is. To exclude or restrict use filter, as {filter}."


def _excluded(tokens: Sequence[str]) -> tuple[str, str] | None:
    """Return the first word with a minus that seems to exclude it, and a filter; None in a command, in code or a sentence."""
    found = [token for token in tokens if _EXCLUDED.fullmatch(token)]
    others = {token.lower() for token in tokens if token not in found}
    if not found or not others or others & (_COMMANDS | ENGLISH_FUNCTION_WORDS) or any(map(_OF_CODE.search, tokens)):
        return None
    word = found[0].strip('-"')
    return found[0], f'{{"$not": {{"id": {{"$glob": {_json(f"*{word}*")}}}}}}}'


def _restricted(tokens: Sequence[str]) -> tuple[str, str] | None:
    """Return the first field with a value, and a filter."""
    for token in tokens:
        if found := _PREFIX.fullmatch(token.lstrip("-(")):
            name = found[1].lower()
            value = token.partition(":")[2].strip('"')
            field = _FIELD_OF.get(name, name)
            if field == "modified":
                operator = "$lt" if name == "before" else "$gt"
                return token, f'{{"modified": {{"{operator}": "2024-05-31"}}}}'
            if field in ("tags", "author", "source"):
                return token, f'{{"{field}": {_json(value)}}}'
            pattern = f"*.{value}" if name in ("ext", "filetype") else f"*{value}*"
            return token, f'{{"{field}": {{"$glob": {_json(pattern)}}}}}'
    return None


def _boolean(tokens: Sequence[str]) -> tuple[str, str] | None:
    """Return the first AND, OR or NOT between words that are no sentence, not all in capitals, and not about logic or SQL."""
    others = [token.strip("?.,()") for token in tokens if token not in _BOOLEAN]
    if not any(map(str.islower, others)) or not (_OF_LOGIC | ENGLISH_FUNCTION_WORDS).isdisjoint(map(str.lower, others)):
        return None
    for place, token in enumerate(tokens[:-1]):
        if token in _BOOLEAN and (place or token == "NOT"):
            return token, '{"$and": [{"tags": "a"}, {"$not": {"tags": "b"}}]}'
    return None


def _json(text: str) -> str:
    """Return a short text as JSON."""
    return '"' + text[:40].replace("\\", "\\\\").replace('"', '\\"') + '"'
