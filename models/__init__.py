"""Training, evaluation and everything else that happens off-line."""
