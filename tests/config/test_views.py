"""Home, health, metrics, the API's page, and the error pages."""

import pytest
import redis
from django.conf import settings
from django.test import Client

from accounts.models import Role
from reports.queries.pulse import PULSE_KEY
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def pulse():
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.set(PULSE_KEY, 1, ex=30)
    yield client
    client.delete(PULSE_KEY)


def by_name(answer) -> dict[str, bool]:
    return {check["name"]: check["ok"] for check in answer.json()["checks"]}


# --- health -----------------------------------------------------------------------------------------------
def test_a_running_process_is_alive_for_anybody(client):
    assert (client.get("/health/live").status_code, client.get("/health/live").json()) == (200, {"ok": True})


def test_an_install_that_can_decide_parts_is_ready(client, pulse):
    factories.golden(factories.station())
    answer = client.get("/health/ready")
    assert (answer.status_code, by_name(answer)) == (
        200,
        {
            "database": True,
            "broker": True,
            "storage": True,
            "golden_configuration": True,
            "inspect_worker": True,
        },
    )


def test_without_a_worker_it_is_not_ready(client):
    factories.golden(factories.station())
    answer = client.get("/health/ready")
    assert (answer.status_code, by_name(answer)["inspect_worker"]) == (503, False)


def test_without_a_golden_configuration_it_is_not_ready(client, pulse):
    code = factories.station().line.code
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    details = {check["name"]: check["detail"] for check in answer.json()["checks"]}
    assert details["golden_configuration"] == f"No active golden configuration on: {code}."


def test_without_a_broker_it_is_not_ready_and_says_so_soon(client, settings):
    settings.REDIS_URL = "redis://:secret@127.0.0.1:1/0"
    answer = client.get("/health/ready")
    assert (answer.status_code, by_name(answer)["broker"]) == (503, False)
    assert "secret" not in answer.content.decode()


def test_without_storage_it_is_not_ready(client, pulse, settings, tmp_path):
    (tmp_path / "file").write_text("in the way")
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "inspection.storage.DurableFileStorage",
            "OPTIONS": {"location": str(tmp_path / "file")},
        },
    }
    answer = client.get("/health/ready")
    assert (answer.status_code, by_name(answer)["storage"]) == (503, False)
    assert str(tmp_path) not in answer.content.decode()


def test_a_health_check_leaves_no_file_behind(client, pulse, tmp_path):
    client.get("/health/ready")
    assert [path for path in (tmp_path / "storage").rglob("*") if path.is_file()] == []


# --- metrics ----------------------------------------------------------------------------------------------
def test_metrics_count_the_ledger(client, pulse):
    at = factories.station()
    factories.golden(at)
    factories.decided_part(at, 0.1)
    factories.held_part(at)
    text = client.get("/metrics").content.decode()
    line = at.line.code
    for expected in (
        f'secondlook_parts{{line="{line}",state="disposed"}} 1.0',
        f'secondlook_parts{{line="{line}",state="held"}} 1.0',
        f'secondlook_parts{{line="{line}",state="captured"}} 0.0',
        f'secondlook_final_dispositions_total{{line="{line}",outcome="PASS",source="model"}} 1.0',
        "secondlook_plc_undelivered_dispositions 2.0",
        f'secondlook_golden_configuration_active{{line="{line}"}} 1.0',
        "secondlook_inspect_worker_up 1.0",
    ):
        assert expected in text.splitlines(), expected


def test_metrics_are_not_for_strangers():
    assert Client(REMOTE_ADDR="10.1.2.3").get("/metrics").status_code == 403
    # A proxy on this machine must not lend its address to the world.
    assert Client().get("/metrics", headers={"x-forwarded-for": "10.1.2.3"}).status_code == 403


def test_metrics_are_for_people_who_are_logged_in():
    client = Client(REMOTE_ADDR="10.1.2.3")
    client.force_login(factories.person(Role.INTEGRATOR))
    assert client.get("/metrics").status_code == 200


# --- pages ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("role", "titles"),
    [
        (Role.MANUAL_INSPECTOR, ["Review", "LINE", "Parts"]),
        (
            Role.QUALITY_EXPERT,
            ["Review", "Ties", "LINE", "Labels", "Training", "Golden", "Reports", "Inspectors", "Parts"],
        ),
        (Role.LINE_OPERATOR, ["LINE", "Parts"]),
        (Role.MANAGER, ["LINE", "Reports", "Inspectors", "Parts"]),
        (Role.INTEGRATOR, ["LINE", "Golden", "Stations", "Parts"]),
    ],
)
def test_home_shows_the_cards_of_the_role(client, role, titles):
    line = factories.station().line
    client.force_login(factories.person(role))
    cards = client.get("/").context["cards"]
    assert [card.title for card in cards] == [title.replace("LINE", line.name) for title in titles]


def test_home_counts_what_waits(client):
    from review import actions as review

    factories.held_part()
    review.open_cases(actor=factories.TESTER)
    client.force_login(factories.inspector())
    card = client.get("/?fragment=cards").context["cards"][0]
    assert (card.figure, card.figure_label, card.outcome) == ("1", "waiting for a person", "warn")


def test_the_api_page_lists_every_operation_without_inline_code(client):
    client.force_login(factories.person(Role.INTEGRATOR))
    page = client.get("/api/docs/").content.decode()
    for path in ("/api/v1/captures/", "/api/v1/parts/", "/api/v1/cases/lease/", "/api/v1/reports/{name}/"):
        assert path in page
    assert "<style" not in page
    assert " style=" not in page
    assert "onclick" not in page


def test_a_forbidden_page_says_which_role_it_needs(client):
    client.force_login(factories.person(Role.LINE_OPERATOR))
    answer = client.get("/reports/")
    assert answer.status_code == 403
    assert (
        "This page needs the role Manager or Quality expert or Vision developer." in answer.content.decode()
    )


def test_an_address_that_leads_nowhere_is_404(client):
    client.force_login(factories.person(Role.LINE_OPERATOR))
    answer = client.get("/nowhere/")
    assert (answer.status_code, "Nothing is here" in answer.content.decode()) == (404, True)
