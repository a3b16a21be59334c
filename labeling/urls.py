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
    path("labels/", rest.Labels.as_view(), name="api_labels"),
    path("labels/proposals/", rest.Proposals.as_view(), name="api_proposals"),
    path("labels/proposals/<int:pk>/", rest.Proposal.as_view(), name="api_proposal"),
    path("labels/<int:pk>/mask/", rest.LabelMask.as_view(), name="api_label_mask"),
    path("datasets/", rest.Datasets.as_view(), name="api_datasets"),
    path("datasets/<int:pk>/versions/", rest.Versions.as_view(), name="api_versions"),
    path("datasets/<int:pk>/versions/<int:number>/export/", rest.Export.as_view(), name="api_export"),
]
