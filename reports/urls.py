"""Addresses of this app: `pages` from the root, `api` under /api/v1/."""

from django.urls import path
from django.urls.resolvers import URLPattern

from reports import api as rest
from reports import pictures, views

pages: list[URLPattern] = [
    path("line/", views.line, name="line"),
    path("parts/", views.parts, name="parts"),
    path("parts/<int:part_id>/", views.part, name="part"),
    path("stations/", views.stations, name="stations"),
    path("reports/", views.management, name="reports"),
]
api: list[URLPattern] = [
    path("parts/", rest.Parts.as_view(), name="part_list"),
    path("parts/<int:part_id>/", rest.PartDetail.as_view(), name="part_detail"),
    path("parts/<int:part_id>/image/", pictures.UnbiasedImage.as_view(), name="part_image"),
    path("parts/<int:part_id>/evidence/", rest.Evidence.as_view(), name="part_evidence"),
    path("reports/<slug:name>/", rest.Report.as_view(), name="report"),
]
