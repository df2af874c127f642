"""Tests of the documentation: what it says is so, what it links to exists, what it tells to run runs."""
