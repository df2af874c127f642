"""The README's table of settings, made of their own descriptions: `make settings` puts it in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from receiver.settings import ENVIRONMENT_PREFIX, Settings

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- settings: made by `make settings` -->"
END = "<!-- end of settings -->"


def table() -> str:
    """A row for each setting, with its environment variable, its default and what it means."""
    return "\n".join(["| setting | variable | default | meaning |", "| --- | --- | --- | --- |", *_rows()])


def _rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, {}) else f"`{field.default}`"
        meaning = (field.description or "").replace("|", "\\|")
        yield f"| `{name}` | `{ENVIRONMENT_PREFIX}{name.upper()}` | {default} | {meaning} |"


def placed(readme: str) -> str:
    """The README with the table between its two marks; ValueError where it has no such marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md lacks the line {BEGIN!r}, or {END!r} after it")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(placed(README.read_text(encoding="utf-8")), encoding="utf-8")
