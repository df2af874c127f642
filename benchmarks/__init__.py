"""The headline numbers, each reproducible by one command."""
