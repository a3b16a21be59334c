"""Addresses of this app: `pages` from the root, `api` under /api/v1/."""

from django.urls.resolvers import URLPattern

pages: list[URLPattern] = []
api: list[URLPattern] = []
