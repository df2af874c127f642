"""Programs that run inside a node or outside of it, each by its path; they import the standard library only."""
