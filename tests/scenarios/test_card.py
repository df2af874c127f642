"""The card of the sessions that ship says what they hold."""

from models.scenarios.card import BEGIN, END, figures, renewed
from models.scenarios.dataset import DATA

CARD = DATA / "README.md"


def test_the_cards_figures_are_those_of_the_sessions() -> None:
    card = CARD.read_text(encoding="utf-8")
    assert renewed(card) == card, "make them anew: python -m models.scenarios.card"


def test_renewing_leaves_the_text_around_the_figures() -> None:
    card = renewed(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert card.startswith("before\n")
    assert card.endswith("\nafter\n")
    assert figures() in card
    assert "old" not in card
