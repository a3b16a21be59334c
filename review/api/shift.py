"""REST of an inspector's shift: active time, breaks, keys."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.queries import line_codes
from inspection.models import Line
from review import actions, forms, queries, shifts
from review.api.base import ANSWER, ReviewView, checked
from review.models import KeyMap
from review.roles import REVIEWERS


class ActivityView(ReviewView):
    @extend_schema(request=forms.ActivityForm, responses=ANSWER)
    def post(self, request: Request) -> Response:
        """I was active for so long since my last call; the answer says whether a break is due."""
        spell = actions.note_activity(person=self.person, **checked(forms.ActivityForm, request.data))
        break_after_ms = self.break_after_ms()
        return Response(
            {
                "active_ms": spell.active_ms,
                "break_due": spell.active_ms >= break_after_ms,
                "break_after_ms": break_after_ms,
            }
        )

    def break_after_ms(self) -> int:
        """The earliest that one of the person's lines asks for."""
        codes = line_codes(self.person, *REVIEWERS)
        lines = Line.objects.all() if codes is None else Line.objects.filter(code__in=codes)
        policies = queries.policies_of(lines.values_list("pk", flat=True)).values()
        return min((policy.break_after_min for policy in policies), default=18) * 60_000


class BreakView(ReviewView):
    @extend_schema(request=None, responses=ANSWER)
    def post(self, request: Request) -> Response:
        """I take a break: my case goes to somebody else, and I hear how the block went."""
        spell = actions.take_break(person=self.person)
        return Response(shifts.feedback(spell) if spell else {"verdicts": 0, "active_ms": 0, "probes": None})


class KeysView(ReviewView):
    @extend_schema(responses=ANSWER)
    def get(self, request: Request) -> Response:
        """The keys I have moved."""
        moved = KeyMap.objects.filter(person=self.person).first()
        return Response({"keys": moved.keys if moved else {}})

    @extend_schema(request=forms.KeysForm, responses=ANSWER)
    def put(self, request: Request) -> Response:
        """Move keys: {verb: key}; what is not named keeps its standard key."""
        keys: dict[str, Any] = checked(forms.KeysForm, request.data)["keys"]
        return Response({"keys": actions.remember_keys(person=self.person, keys=keys).keys})
