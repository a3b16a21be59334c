"""Addresses: each app names its pages and its API in its own urls.py."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

import inspection.urls
import labeling.urls
import plc.urls
import reports.urls
import review.urls
import training.urls
from config import views

APPS = (inspection.urls, review.urls, plc.urls, labeling.urls, training.urls, reports.urls)

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("health/live", views.live, name="health_live"),
    path("health/ready", views.ready, name="health_ready"),
    path("metrics", views.metrics, name="metrics"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", views.api_docs, name="api_docs"),
    *(pattern for app in APPS for pattern in app.pages),
    path("api/v1/", include([pattern for app in APPS for pattern in app.api])),
]

handler403 = "config.views.forbidden"
admin.site.site_header = "Second Look"
admin.site.site_title = "Second Look"
