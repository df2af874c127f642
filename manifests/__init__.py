"""What runs Nodescore, watches it and draws it on a cluster. Nothing here is imported by the service."""
