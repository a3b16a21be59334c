"""Addresses of this app: `pages` from the root, `api` under /api/v1/."""

from django.urls import path
from django.urls.resolvers import URLPattern

from review import views
from review.api import cases, desk, floor, pictures, shift

pages: list[URLPattern] = [
    path("review/", views.review, name="review"),
    path("review/desk/", views.desk, name="review_desk"),
    path("escapes/<int:pk>/", views.containment_page, name="containment_page"),
    path("ties/", views.ties, name="ties"),
]
api: list[URLPattern] = [
    path("cases/", cases.CasesView.as_view(), name="cases"),
    path("cases/lease/", cases.NextLeaseView.as_view(), name="next_lease"),
    path("cases/in-hand/", cases.InHandView.as_view(), name="case_in_hand"),
    path("cases/<int:pk>/lease/", cases.LeaseView.as_view(), name="case_lease"),
    path("cases/<int:pk>/first-opinion/", cases.FirstOpinionView.as_view(), name="case_first_opinion"),
    path("cases/<int:pk>/verdict/", cases.VerdictView.as_view(), name="case_verdict"),
    path("cases/<int:pk>/escalate/", cases.EscalationView.as_view(), name="case_escalation"),
    path("cases/<int:pk>/correction/", cases.CorrectionView.as_view(), name="case_correction"),
    path("cases/<int:pk>/image/", pictures.CaseImage.as_view(), name="case_image"),
    path("cases/<int:pk>/map/", pictures.CaseMap.as_view(), name="case_map"),
    path("cases/<int:pk>/reference/", pictures.CaseReference.as_view(), name="case_reference"),
    path("ties/", cases.TiesView.as_view(), name="tie_list"),
    path("ties/<int:pk>/ruling/", cases.RulingView.as_view(), name="tie_ruling"),
    path("review/activity/", shift.ActivityView.as_view(), name="activity"),
    path("review/break/", shift.BreakView.as_view(), name="break"),
    path("review/keys/", shift.KeysView.as_view(), name="keys"),
    path("review/load/", floor.LoadView.as_view(), name="review_load"),
    path("lines/<str:code>/review-policy/", desk.PolicyView.as_view(), name="review_policy"),
    path("probes/", desk.ProbesView.as_view(), name="probes"),
    path("probes/<int:pk>/", desk.ProbeView.as_view(), name="probe"),
    path("watches/", desk.WatchesView.as_view(), name="watches"),
    path("watches/<int:pk>/", desk.WatchView.as_view(), name="watch"),
    path("acceptance-book/", desk.BookView.as_view(), name="acceptance_book"),
    path("acceptance-book/<int:pk>/", desk.CriterionView.as_view(), name="criterion"),
    path("parts/flags/", floor.FlagsView.as_view(), name="part_flags"),
    path("escapes/", floor.EscapesView.as_view(), name="escapes"),
    path("escapes/<int:pk>/containment/", floor.ContainmentView.as_view(), name="containment"),
]
