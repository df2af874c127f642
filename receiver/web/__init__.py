"""The HTTP side of the service: remote write, health, metrics, JSON API and pages."""
