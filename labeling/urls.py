"""Addresses of this app: `pages` from the root, `api` under /api/v1/."""

from django.urls import path
from django.urls.resolvers import URLPattern

from labeling import api as rest
from labeling import views

pages: list[URLPattern] = [
    path("labels/", views.labels, name="labels"),
    path("datasets/", views.datasets, name="datasets"),
    path("datasets/<int:pk>/freeze/", views.freeze, name="freeze_dataset"),
]
api: list[URLPattern] = [
    path("datasets/", rest.Datasets.as_view(), name="api_datasets"),
    path("datasets/<int:pk>/versions/", rest.Versions.as_view(), name="api_versions"),
    path("datasets/<int:pk>/versions/<int:number>/export/", rest.Export.as_view(), name="api_export"),
]
