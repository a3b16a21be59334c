"""What may happen between us and one PLC mailbox: state machines without socket, clock or database.

One `Mailbox` owns at most one disposition (stop and wait). It is told what was read, written or failed, and the
time; it answers with the next request and with events. Whoever runs it (`plc.drivers.runner`) owns the socket,
and whoever runs that (the gateway) owns the rows.

words.py    what is said: Disposition, Status, the requests and the events
mailbox.py  what may follow what: the table and the machine
watch.py    heartbeat and trigger accounting
"""

from plc.handshake.mailbox import TRANSITIONS, IllegalInputError, Input, Mailbox, State
from plc.handshake.watch import (
    HEARTBEAT_EVERY_S,
    HEARTBEAT_FROZEN_S,
    HeartbeatWatch,
    TriggerJumpError,
    missed_triggers,
    next_trigger,
)
from plc.handshake.words import (
    ACK_SENTENCES,
    MAX_DINT,
    PART_ID_MAX,
    AckCode,
    Acked,
    Alarm,
    Disposition,
    Event,
    LinkDown,
    LinkUp,
    NewDriver,
    Read,
    Refused,
    Request,
    Result,
    Resync,
    ResyncNeeded,
    Source,
    Status,
    Timing,
    WaitUntil,
    WritePayload,
    WriteSeq,
    validate_part_id,
)

__all__ = [
    "ACK_SENTENCES",
    "HEARTBEAT_EVERY_S",
    "HEARTBEAT_FROZEN_S",
    "MAX_DINT",
    "PART_ID_MAX",
    "TRANSITIONS",
    "AckCode",
    "Acked",
    "Alarm",
    "Disposition",
    "Event",
    "HeartbeatWatch",
    "IllegalInputError",
    "Input",
    "LinkDown",
    "LinkUp",
    "Mailbox",
    "NewDriver",
    "Read",
    "Refused",
    "Request",
    "Result",
    "Resync",
    "ResyncNeeded",
    "Source",
    "State",
    "Status",
    "Timing",
    "TriggerJumpError",
    "WaitUntil",
    "WritePayload",
    "WriteSeq",
    "missed_triggers",
    "next_trigger",
    "validate_part_id",
]
