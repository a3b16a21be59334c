"""Addresses of this app: `pages` from the root, `api` under /api/v1/."""

from django.urls import path
from django.urls.resolvers import URLPattern

from review import api as rest
from review import views

pages: list[URLPattern] = [
    path("review/", views.review, name="review"),
    path("ties/", views.ties, name="ties"),
]
api: list[URLPattern] = [
    path("cases/", rest.CasesView.as_view(), name="cases"),
    path("cases/lease/", rest.NextLeaseView.as_view(), name="next_lease"),
    path("cases/<int:pk>/lease/", rest.LeaseView.as_view(), name="case_lease"),
    path("cases/<int:pk>/verdict/", rest.VerdictView.as_view(), name="case_verdict"),
    path("cases/<int:pk>/escalate/", rest.EscalationView.as_view(), name="case_escalation"),
    path("ties/", rest.TiesView.as_view(), name="tie_list"),
    path("ties/<int:pk>/ruling/", rest.RulingView.as_view(), name="tie_ruling"),
]
