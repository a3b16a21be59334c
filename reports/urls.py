"""Addresses of this app: `pages` from the root, `api` under /api/v1/."""

from django.urls import path
from django.urls.resolvers import URLPattern

from reports import api as rest
from reports import people_views, pictures, views

pages: list[URLPattern] = [
    path("line/", views.line, name="line"),
    path("parts/", views.parts, name="parts"),
    path("parts/<int:part_id>/", views.part, name="part"),
    path("stations/", views.stations, name="stations"),
    path("reports/", views.management, name="reports"),
    path("reports/agreement/", people_views.agreement, name="agreement"),
    path("reports/inspectors/", people_views.inspectors, name="inspectors"),
]
api: list[URLPattern] = [
    path("parts/", rest.Parts.as_view(), name="part_list"),
    path("parts/<int:part_id>/", rest.PartDetail.as_view(), name="part_detail"),
    path("parts/<int:part_id>/image/", pictures.UnbiasedImage.as_view(), name="part_image"),
    path("parts/<int:part_id>/evidence/", rest.Evidence.as_view(), name="part_evidence"),
    path("reports/agreement/", rest.Agreement.as_view(), name="agreement_report"),
    path("reports/inspectors/", rest.Inspectors.as_view(), name="inspectors_report"),
    path("lines/<str:code>/state/", rest.LineState.as_view(), name="line_state"),
    path("reports/<slug:name>/", rest.Report.as_view(), name="report"),
]
