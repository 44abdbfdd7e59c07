"""A way to a server that can be cut: what a network between two machines does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Wire:
    """Hands bytes on between clients and one server.

    Attributes:
      port: that clients connect to.
    """

    def __init__(self, server_port: int):
        self._server_port = server_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self) -> int:
        """Ends all connections that are open now; how many there were."""
        ends, self._open = self._open, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        return len(ends) // 2

    def close(self) -> None:
        with self._listening:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._accepting.join()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server_port))
                except OSError:
                    client.close()
                    continue
                self._open += [client, server]
                both = (client, server)
                threading.Thread(target=_connect, args=both, daemon=True).start()


def _connect(client: socket.socket, server: socket.socket) -> None:
    back = threading.Thread(target=_hand_on, args=(server, client), daemon=True)
    with client, server:
        back.start()
        _hand_on(client, server)
        back.join()


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def wire_to(server_port: int) -> Iterator[Wire]:
    wire = Wire(server_port)
    try:
        yield wire
    finally:
        wire.close()
