"""REST of the PLC: the operator's alarms, and taking note of them."""

from typing import Any, cast

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Person, Role
from accounts.permissions import holds
from accounts.queries import line_codes
from audit.actor import Actor
from inspection.models import Line
from plc import actions, queries
from plc.models import Delivery, PlcLink

ATTENDANTS = (Role.LINE_OPERATOR, Role.INTEGRATOR)


class AttendantView(APIView):
    permission_classes = [holds(*ATTENDANTS)]

    def lines(self, request: Request) -> Any:
        codes = line_codes(cast(Person, request.user), *ATTENDANTS)
        return Line.objects.all() if codes is None else Line.objects.filter(code__in=codes)


class AlarmsView(AttendantView):
    @extend_schema(responses={200: list[dict]})
    def get(self, request: Request) -> Response:
        """Links that are not up, notices to reset and refused deliveries to see, line by line."""
        now = timezone.now()
        return Response(
            [
                {
                    "line": line.code,
                    "link": alarm.link.code,
                    "sentence": alarm.sentence,
                    "since": alarm.since,
                    "delivery": alarm.delivery and alarm.delivery.pk,
                }
                for line in self.lines(request).order_by("code")
                for alarm in queries.open_alarms(line, now)
            ]
        )


class ResetAlarmView(AttendantView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, code: str) -> Response:
        """I have seen the notice of this link. What is wrong right now stays until it is over."""
        mine = PlcLink.objects.filter(mailboxes__station__line__in=self.lines(request)).distinct()
        actions.reset_alarm(
            link=get_object_or_404(mine, code=code), actor=Actor.person(cast(Person, request.user))
        )
        return Response(status=204)


class SeeRefusalView(AttendantView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, pk: int) -> Response:
        """I have seen that the PLC refused this delivery and looked after the part."""
        mine = Delivery.objects.filter(mailbox__station__line__in=self.lines(request))
        actions.note_refusal_seen(
            delivery=get_object_or_404(mine, pk=pk), actor=Actor.person(cast(Person, request.user))
        )
        return Response(status=204)
