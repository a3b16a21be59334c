"""The part-present wire, station side: one JSON line out, one JSON line back, so that no pulse is lost silently."""

import json
import socket
from typing import Any, Self


class SensorError(Exception):
    """The pulse may not have arrived. Sending the same pulse again is harmless."""


class SensorWire:
    """A connection to the simulator's sensor port, opened at the first pulse and again after an error."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._rest = b""

    def pulse(self, station: str, trig_seq: int, part_id: str, timeout: float = 1.0) -> bool:
        """Report a part in front of the camera; False if this very pulse was known. Raises SensorError."""
        reply = self.ask({"station": station, "trig_seq": trig_seq, "part_id": part_id}, timeout)
        return bool(reply.get("new", True))

    def fault(self, name: str, timeout: float = 5.0, **options: Any) -> None:
        """Arm a fault of `plc.simulator.faults.Fault`; options: count, seconds, writes_only. Raises SensorError."""
        self.ask({"fault": name, **options}, timeout)

    def status(self, timeout: float = 1.0) -> dict[str, Any]:
        """What the controller knows of itself. Raises SensorError."""
        return self.ask({"status": True}, timeout)

    def ask(self, message: dict[str, Any], timeout: float = 1.0) -> dict[str, Any]:
        """One line out, one line back. Raises SensorError."""
        try:
            if self._socket is None:
                self._rest = b""
                self._socket = socket.create_connection(self._address, timeout=timeout)
            self._socket.settimeout(timeout)
            self._socket.sendall(json.dumps(message).encode() + b"\n")
            while b"\n" not in self._rest:
                part = self._socket.recv(65536)
                if not part:
                    raise ConnectionError("the wire was closed")
                self._rest += part
            line, _, self._rest = self._rest.partition(b"\n")
            reply: dict[str, Any] = json.loads(line)
        except (OSError, ValueError) as error:
            self.close()
            raise SensorError(
                f"No answer on the sensor wire at {self._address[0]}:{self._address[1]}: {error}"
            ) from error
        if not reply.get("ok"):
            raise SensorError(str(reply.get("error", "the sensor port refused the line")))
        return reply

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
