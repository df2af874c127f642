"""The cards of the sessions that ship say what they hold."""

from pathlib import Path

import pytest

from models.scenarios.card import BEGIN, CARDS, END, figures, renewed


@pytest.mark.parametrize("folder", CARDS, ids=lambda folder: folder.name)
def test_a_cards_figures_are_those_of_its_sessions(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert renewed(card, folder) == card, "make them anew: python -m models.scenarios.card"


def test_renewing_leaves_the_text_around_the_figures() -> None:
    card = renewed(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert card.startswith("before\n")
    assert card.endswith("\nafter\n")
    assert figures() in card
    assert "old" not in card
