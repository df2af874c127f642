"""What a command shows of texts that others have written, like names of nodes, reasons, details; and of errors."""

from __future__ import annotations


def one_line(text: str) -> str:
    """On one line, and without what a terminal would obey; a space stands in the place of each."""
    return "".join(character if character.isprintable() else " " for character in text)


def line_of(error: Exception) -> str:
    """What an error says; of a file or folder that the system refuses, which one and why."""
    if isinstance(error, OSError) and error.filename is not None:
        return one_line(f"{error.filename}: {error.strerror}")
    return one_line(str(error))
