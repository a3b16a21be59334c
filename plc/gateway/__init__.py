"""The gateway process: it alone talks to a PLC.

process.py  waits for the lease, runs shifts, hands over
shift.py    one span of owning the PLC: each turn carries out the handshake and commits what happened
outbox.py   finds the dispositions that have no delivery yet
"""

from plc.gateway.process import Gateway
from plc.gateway.shift import Shift

__all__ = ["Gateway", "Shift"]
