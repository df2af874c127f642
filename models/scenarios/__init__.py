"""Attack kinds on real nodes, and recording them."""
