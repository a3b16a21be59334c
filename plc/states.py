"""What may follow what: the link to a PLC, and the delivery of one disposition."""

from django.db import models


class LinkState(models.TextChoices):
    DISCONNECTED = "disconnected", "Not connected"
    CONNECTED = "connected", "Connected"
    NOT_ANSWERING = "not_answering", "Connected, but the PLC program does not answer"
    RESYNC = "resync", "Stopped to re-synchronise"


# The floor decides what happens to a link, so any condition may follow any other.
LINK_TRANSITIONS: dict[str, frozenset[str]] = {
    state: frozenset(set(LinkState.values) - {state}) for state in LinkState.values
}


class MailboxKind(models.TextChoices):
    AUTOMATIC = "automatic", "First disposition of a part, while it is at the station"
    LATE = "late", "Final disposition of a part that was held"


class DeliveryState(models.TextChoices):
    QUEUED = "queued", "Waits for its turn"
    SENT = "sent", "On its way"
    ACKED = "acked", "Applied by the PLC"
    REFUSED = "refused", "Refused"
    WITHDRAWN = "withdrawn", "Never sent: corrected before its turn"


DELIVERY_TRANSITIONS: dict[str, frozenset[str]] = {
    DeliveryState.QUEUED: frozenset({DeliveryState.SENT, DeliveryState.WITHDRAWN}),
    DeliveryState.SENT: frozenset({DeliveryState.ACKED, DeliveryState.REFUSED}),
    DeliveryState.ACKED: frozenset(),
    DeliveryState.REFUSED: frozenset(),
    DeliveryState.WITHDRAWN: frozenset(),
}
OPEN_DELIVERY_STATES = (DeliveryState.QUEUED, DeliveryState.SENT)
