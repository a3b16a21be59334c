"""A socket for pycomm3 that believes a reply only if it answers the last request.

pycomm3 1.2.16 takes whatever bytes come next as the reply (a late one answers the next request) and loops forever
when the peer closes in the middle of a reply. It calls four methods of its socket; these are the four.
"""

import select
import socket
import struct
import time

from pycomm3.exceptions import CommError

HEADER = struct.Struct("<HHII8sI")  # command, length, session, status, sender context, options
SEND_RR_DATA = 0x6F
SEND_UNIT_DATA = 0x70
FORWARD_OPEN_SERVICES = (0x54, 0x5B)
SEQUENCE_AT = 44  # header 24, interface and time-out 6, item count 2, address item 8, data item head 4
RR_SERVICE_AT = 40  # the same with an empty address item


class CheckedSocket:
    """One TCP connection; any doubt raises CommError and spends it.

    timeout_s  for connecting, for sending and for a whole reply, however slowly it drips in
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.forward_open_was_sent = False
        self._socket: socket.socket | None = None
        self._requests = 0
        self._asked = b""

    def connect(self, host: str, port: int) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout=self.timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise CommError(f"No connection to {host}:{port}: {error}") from error

    def send(self, message: bytes, timeout: float = 0) -> int:
        """Send one request under a sender context of its own. `timeout` is pycomm3's and unused."""
        if self._socket is None:
            raise CommError("The socket is closed.")
        if select.select([self._socket], [], [], 0)[0]:
            raise CommError("The PLC sent something nobody asked for, or closed the connection.")
        self._requests += 1
        message = message[:12] + self._requests.to_bytes(8, "little") + message[20:]
        self._asked = bytes(message)
        is_unconnected = message[0] == SEND_RR_DATA and len(message) > RR_SERVICE_AT
        if is_unconnected and message[RR_SERVICE_AT] in FORWARD_OPEN_SERVICES:
            self.forward_open_was_sent = True
        try:
            self._socket.settimeout(self.timeout_s)
            self._socket.sendall(message)
        except OSError as error:
            raise CommError(f"The request could not be sent: {error}") from error
        return len(message)

    def receive(self, timeout: float = 0) -> bytes:
        """Return the whole reply to the last request. `timeout` is pycomm3's and unused."""
        until = time.monotonic() + self.timeout_s
        head = self._exactly(HEADER.size, until)
        reply = head + self._exactly(HEADER.unpack(head)[1], until)
        self._check(reply)
        return reply

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exactly(self, size: int, until: float) -> bytes:
        if self._socket is None:
            raise CommError("The socket is closed.")
        data = b""
        while len(data) < size:
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise CommError(f"No whole reply within {self.timeout_s:g} s.")
            try:
                self._socket.settimeout(left_s)
                part = self._socket.recv(size - len(data))
            except TimeoutError as error:
                raise CommError(f"No whole reply within {self.timeout_s:g} s.") from error
            except OSError as error:
                raise CommError(f"The reply broke off: {error}") from error
            if not part:
                raise CommError("The PLC closed the connection in the middle of a reply.")
            data += part
        return data

    def _check(self, reply: bytes) -> None:
        asked = self._asked
        if reply[:2] != asked[:2]:
            raise CommError("The reply answers another encapsulation command.")
        if asked[0] != SEND_UNIT_DATA:
            if reply[12:20] != asked[12:20]:
                raise CommError("The reply carries another sender context: it answers an earlier request.")
            return
        if len(reply) < SEQUENCE_AT + 4:
            raise CommError("The reply is too short to carry a sequence count.")
        if reply[SEQUENCE_AT : SEQUENCE_AT + 2] != asked[SEQUENCE_AT : SEQUENCE_AT + 2]:
            raise CommError("The reply carries another sequence count: it answers an earlier request.")
        if reply[SEQUENCE_AT + 2] != asked[SEQUENCE_AT + 2] | 0x80:
            raise CommError("The reply names another service.")
