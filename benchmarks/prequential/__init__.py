"""Retraining round by round: what feedback is worth, and what wrong feedback costs."""
