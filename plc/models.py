"""What is: links to PLCs, their mailboxes, and the delivery of each disposition."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from audit.models import Stateful
from inspection.models import Disposition, Station
from inspection.models.floor import code_validator
from plc.drivers.driver import DriverError
from plc.drivers.protocols import new_driver
from plc.handshake import ACK_SENTENCES, MAX_DINT, AckCode
from plc.states import (
    DELIVERY_TRANSITIONS,
    LINK_TRANSITIONS,
    OPEN_DELIVERY_STATES,
    DeliveryState,
    LinkState,
    MailboxKind,
)


class Driver(models.TextChoices):
    ETHERNET_IP = "ethernet_ip", "EtherNet/IP (Logix)"
    MODBUS = "modbus", "Modbus TCP"
    OPCUA = "opcua", "OPC UA"


class PlcLink(Stateful):
    """One PLC: where it is, who talks to it (the lease), and how it was seen last.

    `alarm` says what is wrong now and empties itself; `notice` says what a person must see (a re-synchronisation)
    and stays until a person resets it.
    """

    TRANSITIONS = LINK_TRANSITIONS

    code = models.CharField(max_length=8, unique=True, validators=[code_validator])
    driver = models.CharField(max_length=16, choices=Driver.choices, default=Driver.ETHERNET_IP)
    host = models.CharField(max_length=200)
    port = models.PositiveIntegerField(
        default=44818, validators=[MinValueValidator(1), MaxValueValidator(65_535)]
    )
    options = models.JSONField(
        default=dict,
        blank=True,
        help_text="What this PLC's protocol leaves open; docs/operation/plc.md says what.",
    )
    state = models.CharField(max_length=16, choices=LinkState.choices, default=LinkState.DISCONNECTED)
    alarm = models.CharField(max_length=300, blank=True, default="")
    alarm_at = models.DateTimeField(null=True, blank=True)
    notice = models.CharField(max_length=300, blank=True, default="")
    notice_at = models.DateTimeField(null=True, blank=True)
    plc_hb = models.IntegerField(default=0)
    plc_hb_at = models.DateTimeField(null=True, blank=True, help_text="When PlcHb was last seen to change.")
    hold_free = models.IntegerField(null=True, blank=True)
    mode = models.IntegerField(null=True, blank=True)
    trig_seq = models.IntegerField(null=True, blank=True)
    last_ack_at = models.DateTimeField(null=True, blank=True)
    lease_owner = models.CharField(max_length=100, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    fencing_number = models.PositiveBigIntegerField(
        default=0, help_text="Counts the gateways that took over."
    )

    class Meta:
        verbose_name = "PLC link"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=LinkState.values), name="a_link_is_in_a_known_state"
            ),
            models.CheckConstraint(
                condition=Q(lease_owner="") | Q(lease_expires_at__isnull=False, fencing_number__gte=1),
                name="a_leased_link_says_until_when_and_under_which_number",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """Options that the protocol does not have must not wait for the gateway to be found."""
        try:
            new_driver(self.driver, self.host, self.port, (), self.options)
        except DriverError as wrong:
            raise ValidationError({"options": str(wrong)}) from wrong


class Mailbox(models.Model):
    """One stop-and-wait mailbox VIS_<code>_… in the PLC.

    numbering  counts the times that numbers started anew because ours and the PLC's disagreed
    next_seq   number of the next new delivery
    plc_boot   PlcBoot as last remembered; None if this PLC was never seen
    trig_seq   every trigger of the PLC up to this one has its part; None if this PLC was never seen
    """

    link = models.ForeignKey(PlcLink, on_delete=models.PROTECT, related_name="mailboxes")
    station = models.ForeignKey(Station, on_delete=models.PROTECT, related_name="mailboxes")
    code = models.CharField(max_length=8, validators=[code_validator])
    kind = models.CharField(max_length=16, choices=MailboxKind.choices)
    numbering = models.PositiveIntegerField(default=1)
    next_seq = models.PositiveBigIntegerField(default=1)
    plc_boot = models.IntegerField(null=True, blank=True)
    trig_seq = models.IntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "mailboxes"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["link", "code"], name="a_plc_has_each_mailbox_once"),
            models.UniqueConstraint(
                fields=["station", "kind"], name="a_station_has_one_mailbox_of_each_kind"
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Delivery(Stateful):
    """How one disposition reaches the PLC. Made and numbered before the first byte is sent.

    former_seqs  numbers it carried before a re-synchronisation
    attempts     how often it was begun; more than one after a failure or a new gateway
    """

    TRANSITIONS = DELIVERY_TRANSITIONS

    disposition = models.OneToOneField(Disposition, on_delete=models.PROTECT, related_name="delivery")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="deliveries")
    numbering = models.PositiveIntegerField()
    seq = models.PositiveBigIntegerField(null=True, blank=True)
    former_seqs = models.JSONField(default=list, blank=True)
    state = models.CharField(max_length=16, choices=DeliveryState.choices, default=DeliveryState.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    fencing_number = models.PositiveBigIntegerField(help_text="Which gateway wrote this row last.")
    queued_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    acked_at = models.DateTimeField(null=True, blank=True)
    ack_code = models.IntegerField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True, default="")
    seen_at = models.DateTimeField(null=True, blank=True, help_text="When a person took note of a refusal.")

    class Meta:
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=DeliveryState.values), name="a_delivery_is_in_a_known_state"
            ),
            models.UniqueConstraint(
                fields=["mailbox", "numbering", "seq"], name="a_number_is_used_once_in_its_mailbox"
            ),
            models.UniqueConstraint(
                fields=["mailbox"],
                condition=Q(state=DeliveryState.SENT),
                name="one_delivery_of_a_mailbox_is_on_its_way",
            ),
            models.CheckConstraint(
                condition=Q(seq__isnull=False, seq__gte=1, seq__lte=MAX_DINT)
                | Q(state__in=[DeliveryState.REFUSED, DeliveryState.WITHDRAWN], seq__isnull=True),
                name="a_delivery_has_a_number_the_plc_can_hold",
            ),
            models.CheckConstraint(
                condition=~Q(state=DeliveryState.SENT) | Q(sent_at__isnull=False),
                name="a_sent_delivery_says_when",
            ),
            models.CheckConstraint(
                condition=~Q(state=DeliveryState.ACKED)
                | Q(
                    ack_code__isnull=False,
                    ack_code=AckCode.APPLIED.value,
                    acked_at__isnull=False,
                    sent_at__isnull=False,
                ),
                name="an_acked_delivery_was_applied_by_the_plc",
            ),
            models.CheckConstraint(
                condition=~Q(state=DeliveryState.REFUSED) | ~Q(problem=""), name="a_refused_delivery_says_why"
            ),
            models.CheckConstraint(
                condition=~Q(state=DeliveryState.WITHDRAWN) | Q(seq__isnull=True, sent_at__isnull=True),
                name="a_withdrawn_delivery_was_never_sent_and_keeps_no_number",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["mailbox", "id"],
                condition=Q(state__in=OPEN_DELIVERY_STATES),
                name="delivery_on_its_way",
            ),
            models.Index(
                fields=["-id"],
                condition=Q(state=DeliveryState.REFUSED, seen_at__isnull=True),
                name="delivery_refused_unseen",
            ),
            models.Index(fields=["-acked_at"], name="delivery_newest_ack_first"),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox.code} {self.seq}"

    @property
    def ack_sentence(self) -> str:
        """What the PLC answered, in words; empty while it has not."""
        if self.ack_code is None:
            return ""
        return ACK_SENTENCES.get(self.ack_code, f"unknown answer {self.ack_code} of the PLC")
