"""Nodescore: a Prometheus remote-write receiver that scores every node for anomalies."""

__version__ = "0.1.0"
