"""Addresses of this app: `pages` from the root, `api` under /api/v1/."""

from django.urls import path
from django.urls.resolvers import URLPattern

from training import api as rest
from training import views

pages: list[URLPattern] = [
    path("training/", views.training, name="training"),
    path("training/start/", views.freeze_and_train, name="freeze_and_train"),
    path("training/candidates/<int:pk>/activate/", views.activate_candidate, name="activate_candidate"),
    path("golden/", views.golden, name="golden"),
]
api: list[URLPattern] = [
    path("runs/", rest.Runs.as_view(), name="api_runs"),
    path("runs/<int:pk>/", rest.RunDetail.as_view(), name="api_run"),
    path("candidates/", rest.Candidates.as_view(), name="api_candidates"),
    path("candidates/<int:pk>/acceptance/", rest.Acceptance.as_view(), name="api_acceptance"),
    path("golden/<int:pk>/lock/", rest.GoldenLock.as_view(), name="api_golden_lock"),
    path("golden/<int:pk>/activate/", rest.GoldenActivation.as_view(), name="api_golden_activate"),
]
