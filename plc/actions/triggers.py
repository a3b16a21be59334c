"""Trigger accounting: the PLC's counter = captured + missed (rule 8)."""

from django.db.models import Q

from audit.actor import Actor
from audit.transitions import record
from inspection.actions import TriggerGapError, trigger
from inspection.models import Part, Station
from plc.handshake import TriggerJumpError, missed_triggers
from plc.models import Mailbox


def account_for_triggers(*, mailbox: Mailbox, until: int, actor: Actor) -> str:
    """Make the parts of triggers that nobody captured; without an image they are held or rejected by the sweeper.

    mailbox  an automatic one
    until    TrigSeq as read from the PLC a moment ago

    Returns a sentence for a person if the counter cannot be followed, else "". Run again after a crash, it makes
    no part twice.
    """
    since, sentence = mailbox.trig_seq, ""
    if since is not None and since != until:
        # Read anew: a gateway runs for months, and the station's epoch changes meanwhile.
        station = Station.objects.select_related("line__part_type").get(pk=mailbox.station_id)
        in_reach = Q(trigger_seq__gt=since, trigger_seq__lte=until)
        if until < since:  # the counter runs 1 .. 2^31-1 and then 1 again
            in_reach = Q(trigger_seq__gt=since) | Q(trigger_seq__lte=until)
        known = Part.objects.filter(in_reach, station=station, epoch=station.epoch)
        try:
            for seq in missed_triggers(known.values_list("trigger_seq", flat=True), since=since, until=until):
                part = trigger(station=station, trigger_seq=seq, actor=actor)
                record(part, "missed", actor=actor, details={"trigger_seq": seq})
        except (TriggerJumpError, TriggerGapError):
            sentence = (
                f"The trigger counter of {station.code} went from {since} to {until}. If it was reset, give the station "
                "its next epoch; parts between the two may be unknown here."
            )
    mailbox.trig_seq = until
    mailbox.save(update_fields=["trig_seq"])
    return sentence
