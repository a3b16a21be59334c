"""What people may ask for: filters of parts, the period of a report."""

from datetime import datetime, timedelta
from typing import Any

from django import forms

from inspection.states import Outcome, PartState
from reports.queries.agreement import ALL, PROBES
from reports.queries.parts import Asked

PERIODS: dict[str, tuple[str, timedelta | None]] = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
    "month": ("Last 30 days", timedelta(days=30)),
    "all": ("Everything", None),
}
DEFAULT_PERIOD = "day"


class PartFilter(forms.Form):
    """Filters of /parts/ and GET parts/: serial (or PLC part id), line, state, disposition, from, to, before."""

    serial = forms.CharField(required=False, max_length=64)
    line = forms.CharField(required=False, max_length=8)
    state = forms.ChoiceField(required=False, choices=[("", ""), *PartState.choices])
    disposition = forms.ChoiceField(required=False, choices=[("", ""), *Outcome.choices])
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # `from` is a word of Python, so these two cannot be class attributes.
        self.fields["from"] = forms.DateTimeField(required=False, input_formats=ISO)
        self.fields["to"] = forms.DateTimeField(required=False, input_formats=ISO)

    def asked(self) -> Asked:
        sent = self.cleaned_data
        return Asked(
            serial=sent["serial"],
            line=sent["line"],
            state=sent["state"],
            disposition=sent["disposition"],
            since=sent["from"],
            until=sent["to"],
            before=sent["before"],
        )


class PeriodForm(forms.Form):
    """Period of a report: a named one, or from / to; the line, if not all."""

    default_period = DEFAULT_PERIOD
    period = forms.ChoiceField(
        required=False, choices=[("", ""), *((name, label) for name, (label, _) in PERIODS.items())]
    )
    line = forms.CharField(required=False, max_length=8)
    format = forms.ChoiceField(required=False, choices=[("json", "JSON"), ("csv", "CSV")])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["from"] = forms.DateTimeField(required=False, input_formats=ISO)
        self.fields["to"] = forms.DateTimeField(required=False, input_formats=ISO)

    def clean(self) -> dict[str, Any]:
        sent = super().clean() or {}
        if sent.get("from") and sent.get("to") and sent["from"] >= sent["to"]:
            raise forms.ValidationError("The period must end after it begins: give `from` before `to`.")
        return sent

    @property
    def period_name(self) -> str:
        return str(self.cleaned_data["period"] or self.default_period)

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        length = PERIODS[self.period_name][1]
        since = self.cleaned_data["from"] or (
            now - length if length else datetime.min.replace(year=2000, tzinfo=now.tzinfo)
        )
        return since, self.cleaned_data["to"] or now + timedelta(seconds=1)


class AgreementForm(PeriodForm):
    """As a report's period, and what counts as the reference: every one, or known parts alone."""

    default_period = "month"
    reference = forms.ChoiceField(required=False, choices=[("", ""), (ALL, "All"), (PROBES, "Probes alone")])


class InspectorsForm(PeriodForm):
    default_period = "month"
    person = forms.CharField(required=False, max_length=150)


# DateTimeField also reads every ISO 8601 form by itself, with and without an offset.
ISO = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"]
