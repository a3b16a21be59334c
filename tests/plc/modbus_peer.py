"""A Modbus TCP server that answers as it is told, byte by byte, for what no good device does."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Self

HEADER = struct.Struct(">HHHB")

Answer = Callable[[bytes], bytes | list[bytes | float] | None]


def reply(request: bytes, pdu: bytes, *, transaction: int | None = None, unit: int | None = None) -> bytes:
    asked_transaction, _, _, asked_unit = HEADER.unpack_from(request)
    return (
        HEADER.pack(
            asked_transaction if transaction is None else transaction,
            0,
            len(pdu) + 1,
            asked_unit if unit is None else unit,
        )
        + pdu
    )


def registers(request: bytes, *values: int) -> bytes:
    """An answer to a reading."""
    return reply(request, struct.pack(f">BB{len(values)}H", request[7], 2 * len(values), *values))


def written(request: bytes) -> bytes:
    """An answer to a write: the echo of place and count."""
    return reply(request, request[7:12])


class Peer:
    """answer  makes the bytes to send for a request; a list may mix bytes and seconds to wait; None closes."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._clients.append(client)
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                while request := client.recv(300):
                    self.requests.append(request)
                    said = self.answer(request)
                    if said is None:
                        return
                    for word in said if isinstance(said, list) else [said]:
                        if isinstance(word, float):
                            time.sleep(word)
                        else:
                            client.sendall(word)
            except OSError:
                return
