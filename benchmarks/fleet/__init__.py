"""A fleet at its true pace, sent as a large Prometheus sends it: `python -m benchmarks.fleet`."""
