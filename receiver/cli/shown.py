"""What a command shows of texts that others have written: names of nodes, reasons, details."""

from __future__ import annotations


def one_line(text: str) -> str:
    """On one line, and without what a terminal would obey; a space stands in the place of each."""
    return "".join(character if character.isprintable() else " " for character in text)
