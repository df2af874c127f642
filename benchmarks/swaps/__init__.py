"""Hot swaps of the model under load."""
