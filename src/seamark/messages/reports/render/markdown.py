"""A report as Markdown: for a repository, a ticket or a chat. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from seamark.messages.reports.render.document import Column, Document, Sheet

__all__ = ["to_markdown"]


def to_markdown(document: Document) -> str:
    """Headings, sentences and pipe tables; nothing in a cell can break out of it."""
    return "\n".join(_lines(document)).rstrip() + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield f"# {_text(document.title)}"
    yield ""
    yield _text(document.subtitle)
    yield ""
    summary = Sheet(
        (Column("figure"), Column("value", "number"), Column("")),
        tuple((tile.title, tile.value, tile.note) for tile in document.tiles),
    )
    yield from _table(summary)
    for section in document.sections:
        yield f"## {_text(section.title)}"
        yield ""
        for sentence in section.sentences:
            yield f"- {_text(sentence)}" if len(section.sentences) > 1 else _text(sentence)
        if section.sentences:
            yield ""
        for sheet in section.sheets:
            if sheet.caption:
                yield f"{_text(sheet.caption)}:"
                yield ""
            yield from _table(sheet)


def _table(sheet: Sheet) -> Iterator[str]:
    yield f"| {' | '.join(_text(column.title) for column in sheet.columns)} |"
    yield f"| {' | '.join('---:' if column.kind == 'number' else '---' for column in sheet.columns)} |"
    for row in sheet.rows:
        cells = (_cell(text, column) for text, column in zip(row, sheet.columns, strict=True))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _cell(text: str, column: Column) -> str:
    if column.kind == "id":
        return " ".join(f"`{part.replace('`', '')}`" for part in text.split()).replace("|", "\\|")
    return _text(text)


_ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>|#"} | {"\n": " ", "\r": " "})


def _text(text: str) -> str:
    return text.translate(_ESCAPED)
