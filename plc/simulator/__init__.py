"""A Logix-like controller in pure Python: enough EtherNet/IP for real clients, the station's program, and faults.

program.st        what a plant programs            program.py  the same, scanned every 10 ms, and the gate
encapsulation.py  headers and packet items         cip.py      services and paths
session.py        one TCP client                   tags.py     memory, structures, symbol table
journal.py        log and retentive memory         faults.py   what may go wrong on demand
server.py         `Simulator` as a whole           sensor.py   the part-present wire, client side

The log (JSON lines) says what the PLC did and is the judge of every test:
{"event": "boot"|"trigger"|"disposition"|"routed", "at": seconds, ...}.
"""

from plc.simulator.sensor import SensorError, SensorWire
from plc.simulator.server import Simulator, add_arguments, run

__all__ = ["SensorError", "SensorWire", "Simulator", "add_arguments", "run"]
