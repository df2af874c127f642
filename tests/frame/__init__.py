"""Tests about the project itself: what is committed, built and documented."""
