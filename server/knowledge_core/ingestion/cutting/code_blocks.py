"""Source code to blocks under its definitions, by tree-sitter. The only file that speaks to tree-sitter.

A definition begins with the comments, decorators and attributes directly above it. Classes and whatever else holds
definitions become sections with sections in them; functions do not: those that are too long are cut between lines. In a
damaged file the sound parts still give their definitions.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tree_sitter import Language, Node, Parser, Tree

from knowledge_core.ingestion.cutting.blocks import Block, Kind, Section, paragraphs
from knowledge_core.ingestion.formats import word_set

# Per language, the module and the function that give its grammar.
_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "java": ("tree_sitter_java", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "bash": ("tree_sitter_bash", "language"),
}
_LARGEST = 2_000_000  # characters; longer code is generated, and its tree takes 100 bytes per character
# The parser asks after every hundred steps whether to go on: once per 140 to 280 bytes of real code (seven languages), but
# once per 0.07 bytes of text that is no code. So too many questions for the length mean that the text is no code. Their
# number is counted, not timed, so that the same text gives the same blocks on every machine.
_BYTES_PER_QUESTION = 30  # at least; a table of digits has 40
_QUESTIONS_AT_LEAST = 100  # are allowed, however short the text
_READ_AT_ONCE = 65_536  # bytes
# Before the whole text, all its pieces of these sizes are parsed, smallest first.
_PIECES = (1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576)  # bytes; a step of 4 takes at most 16 times as long
# Of sound texts up to a length, pieces of one size are enough: parsing the whole takes at most 256 times as long as a piece.
_PIECE_AT_ONCE, _LARGEST_AT_ONCE = 4_096, 65_536  # bytes
_SECONDS_PER_BYTE_OF_CODE = 1e-6
_SECONDS_PER_BYTE = 1e-5  # of the processor, at most; real code takes 1e-7 to 6e-7
_SECONDS_AT_LEAST = 0.01  # are allowed, however small the piece
_DEEPEST = 4  # levels of definitions within definitions; deeper ones get no section of their own
_DEEPEST_INDENTATION = 1000  # characters; bounds the look at what stands before a comment on its line
_DEEPEST_WRAPPING = 12  # nested preprocessor conditions around definitions

# Node type to the word for it in a heading. A type means the same in all grammars that have it.
_DEFINITIONS = {
    "class_definition": "class", "class_declaration": "class", "abstract_class_declaration": "class",
    "class_specifier": "class", "class": "class", "record_declaration": "record",
    "struct_item": "struct", "struct_specifier": "struct", "struct_declaration": "struct", "union_item": "union",
    "interface_declaration": "interface", "annotation_type_declaration": "interface", "trait_item": "trait",
    "trait_declaration": "trait", "impl_item": "impl", "enum_item": "enum", "enum_declaration": "enum",
    "enum_specifier": "enum", "mod_item": "mod", "module": "module", "internal_module": "namespace",
    "namespace_definition": "namespace", "namespace_declaration": "namespace",
    "function_definition": "function", "function_declaration": "function",
    "generator_function_declaration": "function", "function_item": "fn", "method": "def", "singleton_method": "def",
    "method_definition": "method", "method_declaration": "method", "constructor_declaration": "constructor",
    "type_declaration": "type", "type_alias_declaration": "type", "type_item": "type", "macro_definition": "macro",
    "lexical_declaration": "const", "property_declaration": "property",
}  # fmt: skip
_OPENED = word_set("class record struct union interface trait impl enum mod module namespace")
# Nodes around one definition; the definition's range is then the wrapper's.
_WRAPPERS = frozenset(
    {"decorated_definition", "export_statement", "template_declaration", "ambient_declaration", "expression_statement"}
)
# Nodes whose children are treated as if they stood in place of the node.
_FLAT = word_set(
    "preproc_ifdef preproc_if preproc_else preproc_elif linkage_specification file_scoped_namespace_declaration "
    "class_body declaration_list field_declaration_list interface_body enum_body enum_body_declarations block "
    "body_statement statement_block compound_statement annotation_type_body enum_member_declaration_list"
)
_ABOVE = frozenset({"comment", "line_comment", "block_comment", "attribute_item", "doc_comment", "attribute_list"})
_FUNCTION_VALUES = frozenset({"arrow_function", "function", "function_expression", "class", "generator_function"})
# Nodes that define nothing unless they have a body: `struct x y;`, `namespace A;`.
_NEED_BODY = frozenset({"struct_specifier", "class_specifier", "enum_specifier", "namespace_definition"})
_LONGEST_NAME = 100  # characters


@dataclass(frozen=True)
class _Definition:
    """A definition: start and end in bytes of the encoded text, its heading, and the definitions in it."""

    start: int
    end: int
    name: str
    inner: tuple[_Definition, ...]


def code_blocks(text: str, language: str) -> list[Block]:
    """Return the blocks of source code; the paragraphs alone where there is no grammar or the text is no code."""
    if language not in _GRAMMARS or len(text) > _LARGEST:
        return list(paragraphs(text, 0, len(text), Section(), Kind.LINES))
    data = text.encode("utf-8")
    tree = _parsed(data, language)
    if tree is None:
        return list(paragraphs(text, 0, len(text), Section(), Kind.LINES))
    found = tuple(_definitions(data, tree.root_node, language, _DEEPEST))
    place = _places(data, text, found)
    numbers = iter(range(1, len(data) + 2))

    def emit(start: int, end: int, inner: Sequence[_Definition], section: Section) -> Iterator[Block]:
        for one in inner:
            yield from paragraphs(text, start, place[one.start], section, Kind.LINES)
            named = Section((*section.path, next(numbers)), (*section.heading, one.name), whole=True)
            yield from emit(place[one.start], place[one.end], one.inner, named)
            start = place[one.end]
        yield from paragraphs(text, start, end, section, Kind.LINES)

    return list(emit(0, len(text), found, Section(whole=True)))


def _parsed(data: bytes, language: str) -> Tree | None:
    """Return the syntax tree; None for text that is no code: error recovery would take time quadratic in its length.

    Part of that time is one stretch that cannot be interrupted, so ever larger pieces are tried before the whole text. Where
    the pieces of one size take no longer than code, and the whole is sound, that is enough: most files take a third of the
    time so.
    """
    _grammar(language)  # load it before the time is taken
    if len(data) <= _LARGEST_AT_ONCE and _quick(data, language, _PIECE_AT_ONCE):
        tree = _tree(data, language, sound=True)
        if tree is not None and not tree.root_node.has_error:
            return tree
    for size in _PIECES:
        for piece in _pieces(data, size):
            began = time.thread_time()
            if (
                _tree(piece, language) is None
                or time.thread_time() - began > _SECONDS_AT_LEAST + size * _SECONDS_PER_BYTE
            ):
                return None
    return _tree(data, language)


def _quick(data: bytes, language: str, size: int) -> bool:
    """Say whether every piece of a size is parsed as quickly as code is, in time and in questions."""
    for piece in _pieces(data, size):
        began = time.thread_time()
        if _tree(piece, language) is None or time.thread_time() - began > size * _SECONDS_PER_BYTE_OF_CODE:
            return False
    return True


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Yield pieces of a size, in order; none of a text that is one piece."""
    for start in range(0, len(data) if size < len(data) else 0, size):
        yield data[start : start + size]


def _tree(data: bytes, language: str, *, sound: bool = False) -> Tree | None:
    """Return the syntax tree; None where there are too many questions. sound: at the first question after an error, too."""
    view = memoryview(data)
    questions = itertools.count()
    most = _QUESTIONS_AT_LEAST + len(data) // _BYTES_PER_QUESTION
    try:
        # Given callbacks: between them the parser holds the interpreter's lock, and only they can make it stop.
        return Parser(_grammar(language)).parse(
            lambda at, _point: view[at : at + _READ_AT_ONCE],
            progress_callback=lambda _at, has_error: (sound and has_error) or next(questions) > most,
        )
    except ValueError:  # the callback stopped it
        return None


@functools.cache
def _grammar(language: str) -> Language:
    module, function = _GRAMMARS[language]
    return Language(getattr(importlib.import_module(module), function)())


def _places(data: bytes, text: str, found: Sequence[_Definition]) -> dict[int, int]:
    """Return, per byte position where a definition begins or ends, the character position."""
    bounds: set[int] = set()
    stack = list(found)
    while stack:
        one = stack.pop()
        bounds |= {one.start, one.end}
        stack += one.inner
    if len(data) == len(text):
        return {bound: bound for bound in bounds}
    places: dict[int, int] = {}
    last = position = 0
    for bound in sorted(bounds):
        position += len(data[last:bound].decode("utf-8"))
        places[bound] = position
        last = bound
    return places


def _children(node: Node, depth: int = _DEEPEST_WRAPPING) -> Iterator[Node]:
    for child in node.children:
        if child.type in _FLAT and depth:
            yield from _children(child, depth - 1)
        else:
            yield child


def _definitions(data: bytes, parent: Node, language: str, depth: int) -> Iterator[_Definition]:
    above: Node | None = None  # the first of the comments that stand directly above the next definition
    below = 0  # where the last of these comments ended
    for node in _children(parent):
        if node.type in _ABOVE:
            if not _on_its_own_line(data, node.start_byte):
                continue
            if above is None or _apart(data, below, node.start_byte):
                above = node
            below = node.end_byte
            continue
        inner = _wrapped(node)
        name = _heading(data, inner, language)
        if name:
            start = above.start_byte if above and not _apart(data, below, node.start_byte) else node.start_byte
            opened = depth > 1 and _DEFINITIONS[inner.type] in _OPENED
            yield _Definition(
                start,
                _line_end(data, node.end_byte),
                name,
                tuple(_definitions(data, inner, language, depth - 1)) if opened else (),
            )
        above = None


def _wrapped(node: Node) -> Node:
    for _ in range(4):  # as deep as `export default` of a decorated class
        if node.type not in _WRAPPERS:
            break
        node = next((child for child in node.children if child.type in _DEFINITIONS or child.type in _WRAPPERS), node)
    return node


def _heading(data: bytes, node: Node, language: str) -> str:
    """Return a definition's name in the heading path, as "class Engine"; "" for a node that gets no section."""
    label = _DEFINITIONS.get(node.type)
    if label is None or not node.is_named:
        return ""
    if node.type in _NEED_BODY and node.child_by_field_name("body") is None:
        return ""
    if node.type == "lexical_declaration":
        node = next((c for c in node.children if c.type == "variable_declarator"), node)
        value = node.child_by_field_name("value")
        if value is None or value.type not in _FUNCTION_VALUES:
            return ""
    if language == "python" and label == "function":
        label = "def"
    if language == "go" and label in ("function", "method"):
        label = "func"
    return f"{label} {name}" if (name := _name(data, node)) else ""


def _name(data: bytes, node: Node) -> str:
    if node.type == "impl_item":
        of, type_ = node.child_by_field_name("trait"), node.child_by_field_name("type")
        return " for ".join(_text(data, part) for part in (of, type_) if part is not None)
    if node.type == "type_declaration":  # Go: the name is one level deeper
        node = next((child for child in node.children if child.child_by_field_name("name")), node)
    receiver = node.child_by_field_name("receiver") if node.type == "method_declaration" else None
    named = node.child_by_field_name("name")
    for _ in range(8):  # C nests declarators: pointers to functions, arrays
        if named is not None:
            break
        declarator = node.child_by_field_name("declarator")
        if declarator is None:
            return ""
        node = declarator
        named = node.child_by_field_name("name")
        if node.type in ("identifier", "field_identifier", "qualified_identifier", "destructor_name", "operator_name"):
            named = node
    return (f"{_text(data, receiver)} " if receiver else "") + (_text(data, named) if named else "")


def _text(data: bytes, node: Node) -> str:
    # Not `node.text`: a tree that was parsed by callbacks has no text, and asking for it crashes the process.
    named = data[node.start_byte : min(node.end_byte, node.start_byte + 8 * _LONGEST_NAME)]
    return " ".join(named.decode("utf-8", "replace").split())[:_LONGEST_NAME]


def _apart(data: bytes, start: int, end: int) -> bool:
    """Say whether an empty line, or anything but white space, lies between two byte positions."""
    between = data[start:end]
    return between.count(b"\n") > 1 or bool(between.strip())


def _on_its_own_line(data: bytes, start: int) -> bool:
    before = data[max(0, start - _DEEPEST_INDENTATION) : start]
    line = before[before.rfind(b"\n") + 1 :]
    return not line.strip() and len(line) < _DEEPEST_INDENTATION


def _line_end(data: bytes, end: int) -> int:
    """Return the end of the line if only punctuation or a comment follows on it, else `end`."""
    line_end = data.find(b"\n", end, end + 300)
    rest = data[end:line_end].strip() if line_end >= 0 else b"x"
    return line_end + 1 if rest in (b"", b";", b",") or rest.startswith((b"//", b"#")) else end
