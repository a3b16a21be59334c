"""Addresses of this app: `pages` from the root, `api` under /api/v1/."""

from django.urls import path
from django.urls.resolvers import URLPattern

from plc import api as rest

pages: list[URLPattern] = []
api: list[URLPattern] = [
    path("alarms/", rest.AlarmsView.as_view(), name="alarms"),
    path("links/<slug:code>/reset/", rest.ResetAlarmView.as_view(), name="reset_alarm"),
    path("deliveries/<int:pk>/seen/", rest.SeeRefusalView.as_view(), name="see_refusal"),
]
