"""The image and the manifests: made, checked, and started for real."""
