"""A controller in pure Python: the station's program, faults, and enough of a protocol for real clients.

program.st        what a plant programs            program.py  the same, scanned every 10 ms, and the gate
encapsulation.py  headers and packet items         cip.py      services and paths
session.py        one TCP client                   tags.py     memory, structures, symbol table
journal.py        log and retentive memory         faults.py   what may go wrong on demand
controller.py     what every protocol shares       server.py   `Simulator`: EtherNet/IP in front of it
opcua.py          OPC UA in front of it            modbus.py    Modbus TCP in front of it
opcua_server.py   its server, users and answers    sensor.py    the part-present wire, client side
command.py        options, protocols, signals

The log (JSON lines) says what the PLC did and is the judge of every test:
{"event": "boot"|"trigger"|"disposition"|"routed", "at": seconds, ...}.
"""

from plc.simulator.command import add_arguments, run
from plc.simulator.sensor import SensorError, SensorWire
from plc.simulator.server import Simulator

__all__ = ["SensorError", "SensorWire", "Simulator", "add_arguments", "run"]
