"""A machine that takes what it is sent and keeps nothing: `sink.py ADDRESS PORT POOL_PORT`, until it is killed.

PUT to PORT takes an upload, whatever is in it; what comes to POOL_PORT is read line by line, each answered, as a mining
pool answers the shares of its miners.
"""

import http.server
import socketserver
import sys
import threading

PIECE_BYTES = 1 << 16


class Uploads(http.server.BaseHTTPRequestHandler):
    """Reads a body of a known length, or in chunks, to its end."""

    def do_PUT(self) -> None:
        """Take an upload."""
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                self._skip(size + 2)
            self.rfile.readline()
        else:
            self._skip(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def handle_expect_100(self) -> bool:
        """Leave it to `do_PUT`."""
        return True

    def _skip(self, size: int) -> None:
        while size and (piece := self.rfile.read(min(size, PIECE_BYTES))):
            size -= len(piece)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Pool(socketserver.StreamRequestHandler):
    """Answers each line."""

    def handle(self) -> None:
        """Until the miner goes."""
        for _ in self.rfile:
            self.wfile.write(b'{"result": true}\n')


class Threads(socketserver.ThreadingTCPServer):
    """Many at once; one that was cut off is no fault."""

    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Both servers."""
    address, port, pool_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    pool = Threads((address, pool_port), Pool)
    threading.Thread(target=pool.serve_forever, daemon=True).start()
    Threads((address, port), Uploads).serve_forever()


if __name__ == "__main__":
    main()
