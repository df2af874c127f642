"""`python -m receiver` is `nodescore`."""

from receiver.cli import main

main()
