"""Every address of the product, asked by nobody: login, 401 or 403, and never an answer."""

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from tests.factories import person

pytestmark = pytest.mark.django_db

# The container asks these itself, and somebody who is not logged in needs the login page.
OPEN = {"login/", "health/live", "health/ready", "admin/login/"}
METHODS = ("get", "post", "put", "patch", "delete")
SAMPLES = {"int": "1", "str": "some", "slug": "some", "path": "some", "uuid": "0" * 32}


def addresses(patterns=None, prefix=""):
    """Every address in the URL configuration, with a sample in the place of each argument."""
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        route = prefix + _sample(pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route


def _sample(pattern) -> str:
    if not hasattr(pattern.pattern, "_route"):
        return "some"  # the admin's catch-all
    route = pattern.pattern._route
    for name, converter in pattern.pattern.converters.items():
        for kind, sample in SAMPLES.items():
            route = route.replace(f"<{kind}:{name}>", sample)
        route = route.replace(f"<{name}>", SAMPLES["str"])
        assert "<" not in route or len(pattern.pattern.converters) > 1, f"{route}: {converter}"
    return route


CLOSED = sorted(set(addresses()) - OPEN)


def test_the_walk_finds_the_addresses():
    assert {"review/", "ties/", "api/v1/cases/lease/", "api/v1/captures/", "api/schema/", "admin/"} <= set(
        CLOSED
    )
    assert not [address for address in CLOSED if "<" in address]


@pytest.mark.parametrize("address", CLOSED)
def test_nobody_gets_an_answer_without_login(address):
    client = Client(REMOTE_ADDR="192.0.2.7")  # another machine: a scraper on this one may read the metrics

    for method in METHODS:
        answer = getattr(client, method)(f"/{address}")
        to_login = answer.status_code == 302 and "login/" in answer.headers["Location"]
        assert to_login or answer.status_code in {401, 403, 405}, f"{method} gave {answer.status_code}"
        if answer.status_code == 405:
            assert method != "get"


@pytest.mark.parametrize("address", [address for address in CLOSED if address.startswith("api/v1/")])
def test_a_person_without_a_role_gets_nothing_from_the_api(address):
    client = APIClient()
    client.force_login(person())

    for method in METHODS:
        assert getattr(client, method)(f"/{address}").status_code in {403, 405}, method
