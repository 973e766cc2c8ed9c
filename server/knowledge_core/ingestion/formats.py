"""What a file's name says about its content: tables, and functions that read them. Opens no file.

A name is a hint: it spares opening a file that is surely no text. Where the name says nothing, the content decides.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

from knowledge_core.ingestion.format_table import FORMATS


def word_set(words: str) -> frozenset[str]:
    """Return the words of a table that is written as one string."""
    return frozenset(words.split())


READ = frozenset(suffix for each in FORMATS for suffix in each.suffixes.split())
"""Suffixes of the formats with a reader."""

# Suffix to media type, of texts whose units are lines: records, settings, markup. The type is the registered one where
# there is one.
LINES = {
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    ".ini": "text/x-ini",
    ".cfg": "text/x-ini",
    ".conf": "text/x-ini",
    ".properties": "text/x-ini",
    ".log": "text/x-log",
    ".diff": "text/x-diff",
    ".patch": "text/x-diff",
}
LINE_TYPES = frozenset({*LINES.values(), "application/json", "application/jsonl", "application/xml"})

PROSE = {".txt": "text/plain", ".text": "text/plain", ".rst": "text/x-rst", ".rest": "text/x-rst"}

# Suffixes that say no more than how a document was written down: its title is the name without them. Those of code, settings
# and tables of data are part of what people call the file.
WITHOUT_SUFFIX = frozenset(PROSE) | {
    suffix
    for each in FORMATS
    if each.name not in ("xlsx", "ods", "csv", "ipynb", "feed", "subtitles", "svg", "xml", "json")
    for suffix in each.suffixes.split()
}

# Language to its suffixes. The language is the value of "language" in the metadata; `code_blocks` has grammars for some.
LANGUAGES = {
    "python": ".py .pyi .pyw",
    "javascript": ".js .mjs .cjs .jsx",
    "typescript": ".ts .mts .cts",
    "tsx": ".tsx",
    "go": ".go",
    "rust": ".rs",
    "java": ".java",
    "c": ".c",
    "cpp": ".cc .cpp .cxx .c++ .hpp .hh .hxx .h .ipp .cu .cuh .ino",
    "ruby": ".rb .rake .gemspec",
    "csharp": ".cs .csx",
    "php": ".php .phtml",
    "bash": ".sh .bash .zsh .ksh",
    "kotlin": ".kt .kts",
    "swift": ".swift",
    "scala": ".scala .sc",
    "objective-c": ".m .mm",
    "lua": ".lua",
    "perl": ".pl .pm",
    "r": ".r",
    "julia": ".jl",
    "haskell": ".hs",
    "elixir": ".ex .exs",
    "erlang": ".erl .hrl",
    "clojure": ".clj .cljs .cljc .edn",
    "lisp": ".lisp .el .scm .rkt",
    "ocaml": ".ml .mli",
    "fsharp": ".fs .fsx .fsi",
    "dart": ".dart",
    "zig": ".zig",
    "nim": ".nim",
    "sql": ".sql",
    "css": ".css .scss .sass .less",
    "vue": ".vue",
    "svelte": ".svelte",
    "powershell": ".ps1 .psm1",
    "batch": ".bat .cmd",
    "cmake": ".cmake",
    "make": ".mk",
    "terraform": ".tf .tfvars .hcl",
    "protobuf": ".proto",
    "graphql": ".graphql .gql",
    "solidity": ".sol",
    "vb": ".vb .bas .vbs",
    "fortran": ".f .f90 .f95 .for",
    "pascal": ".pas .pp",
    "assembly": ".s .asm",
    "verilog": ".v .sv .vh",
    "vhdl": ".vhd .vhdl",
    "groovy": ".groovy .gradle",
    "nix": ".nix",
    "awk": ".awk",
}
LANGUAGE_OF_SUFFIX = {suffix: language for language, suffixes in LANGUAGES.items() for suffix in suffixes.split()}
LANGUAGE_OF_NAME = {
    "makefile": "make",
    "gnumakefile": "make",
    "cmakelists.txt": "cmake",
    "dockerfile": "dockerfile",
    "containerfile": "dockerfile",
    "jenkinsfile": "groovy",
    "rakefile": "ruby",
    "gemfile": "ruby",
    "vagrantfile": "ruby",
}

# Formats that hold text, but have no reader; read as text, their markup would be indexed.
UNSUPPORTED = word_set(".pages .key .numbers .one .odg .mobi .azw3 .djvu .ps .eps")
SAVE_AS = {
    ".pages": "Export it from Pages as Word or PDF.",
    ".numbers": "Export it from Numbers as Excel or CSV.",
    ".key": "Export it from Keynote as PowerPoint or PDF.",
    ".one": "Export it from OneNote as Word or PDF.",
    ".odg": "Export it as PDF.",
    ".mobi": "Convert it to EPUB.",
    ".azw3": "Convert it to EPUB.",
    ".djvu": "Convert it to PDF with its text.",
    ".ps": "Convert it to PDF.",
    ".eps": "Convert it to PDF.",
}
"""Suffix of such a format -> what to do with the file."""

BINARY = word_set(
    ".png .jpg .jpeg .jpe .gif .bmp .tif .tiff .webp .ico .icns .heic .heif .avif .psd .xcf .raw .cr2 .nef "
    ".mp3 .wav .flac .ogg .oga .opus .m4a .aac .wma .aiff .mid .midi "
    ".mp4 .m4v .mkv .webm .mov .avi .wmv .flv .mpg .mpeg "
    ".zip .gz .tgz .bz2 .xz .zst .lz4 .7z .rar .tar .jar .war .ear .whl .egg .deb .rpm .apk .dmg .iso .img .cab .msi "
    ".exe .dll .so .dylib .a .lib .o .obj .ko .class .pyc .pyo .pyd .wasm .bin .dat .elc .beam .node "
    ".ttf .otf .woff .woff2 .eot .pfb "
    ".db .sqlite .sqlite3 .db-wal .db-shm .mdb .accdb .frm .ibd .rdb .parquet .arrow .feather .orc .avro .h5 .hdf5 "
    ".npy .npz .pkl .pickle .joblib .pt .pth .ckpt .safetensors .onnx .gguf .ggml .tflite .pb .usearch .faiss "
    ".blend .fbx .glb .stl .swf .pdb .idb .lnk .p12 .pfx .jks .keystore .gpg .der"
)

KNOWN_SUFFIXES = frozenset({*READ, *LINES, *PROSE, *LANGUAGE_OF_SUFFIX, *UNSUPPORTED})
"""The suffixes that say what kind of document a file is; any other end of a name may be just a part of the name."""
# Characters, the dot included: one more than ".safetensors" has. A longer end is part of the name.
LONGEST_SUFFIX = 13
_IN_SUFFIXES = str.maketrans("", "", "-_+~")


def refusal_by_name(path: PurePath) -> Literal["binary", "unsupported"] | None:
    """Return why a file of this name need not be opened; None where its content decides."""
    suffix = path.suffix.lower()
    if suffix in BINARY:
        return "binary"
    return "unsupported" if suffix in UNSUPPORTED else None


def kind(path: PurePath) -> str:
    """Return the format that a name shows, for counting: its suffix; "" where the name shows none that people know.

    >>> [kind(PurePath(name)) for name in ("a/Plan.DOCX", "b.tar.gz", "README", "core.4711", "x.no format at all")]
    ['.docx', '.tar.gz', '', '', '']
    """
    suffix = path.suffix.lower()
    plain = suffix[1:].translate(_IN_SUFFIXES)
    if len(suffix) > LONGEST_SUFFIX or not plain.isalnum() or plain.isdecimal():
        return ""
    return f".tar{suffix}" if PurePath(path.stem).suffix.lower() == ".tar" else suffix


def known(path: PurePath) -> bool:
    """Say whether the name promises text in a format that is read. If the file has no text then, it is damaged."""
    suffix = path.suffix.lower()
    return suffix in READ or suffix in LINES or suffix in PROSE or bool(language(path))


def language(path: PurePath) -> str:
    """Return the programming language that the name shows; "" where it shows none."""
    return LANGUAGE_OF_NAME.get(path.name.lower()) or LANGUAGE_OF_SUFFIX.get(path.suffix.lower(), "")
