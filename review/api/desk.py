"""REST of the expert's desk: how lines are reviewed, known parts, the acceptance book, inspectors on watch."""

from typing import Any, ClassVar

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Role
from review import actions, forms, queries
from review.actions.policy import FIELDS
from review.api.base import ANSWER, ReviewView, checked, line_asked
from review.models import Criterion, Probe, ReviewPolicy, Watch
from review.roles import POLICY_SETTERS
from review.states import Grade


def policy_record(policy: ReviewPolicy) -> dict[str, Any]:
    told = {name: getattr(policy, name) for name in FIELDS if name != "reference_part"}
    return {
        "number": policy.number,
        **told,
        "reference_part": policy.reference_part_id,
        "set_at": policy.set_at,
        "set_by": policy.set_by.get_username() if policy.set_by else None,
    }


class PolicyView(ReviewView):
    roles: ClassVar = POLICY_SETTERS

    @extend_schema(responses=ANSWER)
    def get(self, request: Request, code: str) -> Response:
        """How the line is reviewed; number 0 means that nobody has set anything yet and everything is plain."""
        return Response(policy_record(queries.policy_of(self.line(code).pk)))

    @extend_schema(request=forms.PolicyForm, responses=ANSWER)
    def put(self, request: Request, code: str) -> Response:
        """The next revision; what is not sent stays as it is."""
        line = self.line(code)
        form = forms.PolicyForm(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        policy = actions.set_policy(line=line, actor=self.actor, person=self.person, **form.validated_data)
        return Response(policy_record(policy))


def probe_record(probe: Probe) -> dict[str, Any]:
    return {
        "probe": probe.pk,
        "part": probe.part_id,
        "plc_part_id": probe.part.plc_part_id,
        "line": probe.part.line.code,
        "grade": probe.grade,
        "defect_type": probe.defect_type,
        "added_at": probe.added_at,
    }


class ProbesView(ReviewView):
    roles: ClassVar = (Role.QUALITY_EXPERT,)

    @extend_schema(responses=ANSWER)
    def get(self, request: Request) -> Response:
        """Known parts in use."""
        return Response({"results": [probe_record(probe) for probe in queries.probes(self.lines())[:500]]})

    @extend_schema(request=forms.ProbeForm, responses={201: ANSWER})
    def post(self, request: Request) -> Response:
        """Use a part of known grade as a probe."""
        said = checked(forms.ProbeForm, request.data)
        self.line(said["part"].line.code)
        said["grade"] = Grade(said["grade"])
        probe = actions.add_probe(person=self.person, actor=self.actor, **said)
        return Response(probe_record(probe), status=201)


class ProbeView(ReviewView):
    roles: ClassVar = (Role.QUALITY_EXPERT,)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Slip it in no more."""
        actions.retire_probe(probe=get_object_or_404(queries.probes(self.lines()), pk=pk), actor=self.actor)
        return Response(status=204)


class BookView(ReviewView):
    @extend_schema(responses=ANSWER)
    def get(self, request: Request) -> Response:
        """The acceptance book of the line's part type."""
        line = line_asked(self, request)
        part_type = line.part_type
        lines = Criterion.objects.filter(part_type=part_type, retired_at=None).order_by("number")
        return Response({"part_type": part_type.name, "criteria": [criterion_record(each) for each in lines]})

    @extend_schema(request=forms.CriterionForm, responses={201: ANSWER})
    def post(self, request: Request) -> Response:
        """Write a line of the book; only a quality expert does."""
        only_expert(self)
        said = checked(forms.CriterionForm, request.data)
        line = self.line(said.pop("line").code)
        criterion = actions.write_criterion(part_type=line.part_type, person=self.person, **said)
        return Response(criterion_record(criterion), status=201)


class CriterionView(ReviewView):
    roles: ClassVar = (Role.QUALITY_EXPERT,)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """The line counts no more; it stays readable in the trail."""
        actions.retire_criterion(criterion=get_object_or_404(Criterion, pk=pk), person=self.person)
        return Response(status=204)


def criterion_record(criterion: Criterion) -> dict[str, Any]:
    return {
        "id": criterion.pk,
        "number": criterion.number,
        "text": criterion.text,
        "defect_type": criterion.defect_type,
        "ruling": criterion.ruling_id,
        "written_at": criterion.written_at,
    }


def only_expert(view: ReviewView) -> None:
    if not view.person.roles.filter(role=Role.QUALITY_EXPERT).exists():
        raise PermissionDenied("Only a quality expert writes the acceptance book.")


class WatchesView(ReviewView):
    roles: ClassVar = (Role.QUALITY_EXPERT,)

    @extend_schema(responses=ANSWER)
    def get(self, request: Request) -> Response:
        """Inspectors whose probes went worse: until lifted, all their cases go to two people."""
        standing = Watch.objects.filter(cleared_at=None).select_related("person").order_by("since")
        return Response({"results": [watch_record(watch) for watch in standing]})


class WatchView(ReviewView):
    roles: ClassVar = (Role.QUALITY_EXPERT,)

    @extend_schema(request=forms.WatchForm, responses=ANSWER)
    def delete(self, request: Request, pk: int) -> Response:
        """Lift the watch, and say what was done."""
        watch = get_object_or_404(Watch.objects.select_related("person"), pk=pk)
        note = checked(forms.WatchForm, request.data)["note"]
        return Response(watch_record(actions.clear_watch(watch=watch, person=self.person, note=note)))


def watch_record(watch: Watch) -> dict[str, Any]:
    return {
        "watch": watch.pk,
        "person": watch.person.get_username(),
        "since": watch.since,
        "why": watch.why,
        "cleared_at": watch.cleared_at,
        "note": watch.note,
    }
