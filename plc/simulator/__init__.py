"""A Logix-like controller in pure Python: enough EtherNet/IP for real clients, the station's program, and faults.

encapsulation.py  sessions and packets         cip.py      services and paths
tags.py           memory, UDTs, symbol table   program.py  the Structured Text of the handshake, and the gate
journal.py        log and retentive memory     faults.py   what may go wrong on demand
server.py         `Simulator`                  sensor.py   the part-present wire, client side

The log (JSON lines) says what the PLC did and is the judge of every test:
{"event": "boot"|"trigger"|"disposition"|"routed", "at": seconds, ...}.
"""

from plc.simulator.sensor import SensorError, SensorWire
from plc.simulator.server import Simulator, add_arguments, run

__all__ = ["SensorError", "SensorWire", "Simulator", "add_arguments", "run"]
