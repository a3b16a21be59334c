"""Addresses of this app: `pages` from the root, `api` under /api/v1/."""

from django.urls import path
from django.urls.resolvers import URLPattern

from inspection import api as rest

pages: list[URLPattern] = []
api: list[URLPattern] = [
    path("captures/", rest.Captures.as_view(), name="captures"),
    path("parts/<int:part_id>/map/", rest.PartMap.as_view(), name="part_map"),
]
