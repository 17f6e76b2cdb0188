"""An HTTP server in a thread of this process. The simulator, the laptop's Lambda and the load history page are such."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Self

HOST = "127.0.0.1"
"""Where the parts find each other."""


class LocalServer(ThreadingHTTPServer):
    """Listens from its creation on, and answers while `serving` lasts."""

    daemon_threads = True
    request_queue_size = 128

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Answer requests until the end of the `with` block."""
        thread = Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Show what went wrong, unless it is that a client hung up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
