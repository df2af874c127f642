"""Real servers for the tests: got by `obtain`, found by `places`, run as processes by the rest."""
