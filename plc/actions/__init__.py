"""Every write of the PLC gateway: links and their lease, deliveries and their numbers."""

from plc.actions.deliveries import (
    begin_again,
    enqueue_deliveries,
    mark_acked,
    mark_refused,
    mark_sent,
    note_refusal_seen,
    remember_boot,
    resynchronise,
)
from plc.actions.links import (
    LEASE_S,
    Fence,
    Lease,
    LeaseLostError,
    held_fence,
    move_link,
    raise_notice,
    release_lease,
    renew_lease,
    reset_alarm,
    set_up_link,
    take_lease,
)
from plc.actions.triggers import account_for_triggers

__all__ = [
    "LEASE_S",
    "Fence",
    "Lease",
    "LeaseLostError",
    "account_for_triggers",
    "begin_again",
    "enqueue_deliveries",
    "held_fence",
    "mark_acked",
    "mark_refused",
    "mark_sent",
    "move_link",
    "note_refusal_seen",
    "raise_notice",
    "release_lease",
    "remember_boot",
    "renew_lease",
    "reset_alarm",
    "resynchronise",
    "set_up_link",
    "take_lease",
]
