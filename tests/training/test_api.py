import pytest
from django.test import Client
from django.utils import timezone

import labeling.actions
from accounts.models import Role
from inspection.queries import active_golden
from tests import factories
from tests.factories import TESTER
from tests.labeling import steps
from tests.training.steps import proposed
from training import actions
from training.models import Run
from training.states import CandidateState

pytestmark = pytest.mark.django_db


@pytest.fixture
def station():
    return factories.station()


@pytest.fixture
def version(station):
    dataset = labeling.actions.make_dataset(line=station.line, name="discs", actor=TESTER)
    steps.graded_disc(station, seed=1, is_bad=False)
    return labeling.actions.freeze_version(dataset=dataset, actor=TESTER)


def client_of(*roles: Role, line_code: str = "") -> Client:
    client = Client()
    client.force_login(factories.person(*roles, line_code=line_code))
    return client


def test_a_run_is_started_and_asked_for(version):
    client = client_of(Role.VISION_DEVELOPER)

    started = client.post(
        "/api/v1/runs/", {"dataset_version": version.pk, "family": "patchcore"}, "application/json"
    )

    assert started.status_code == 201
    told = client.get(f"/api/v1/runs/{started.json()['id']}/").json()
    assert (told["state"], told["progress"], told["candidate"]) == ("queued", 0.0, None)


def test_a_run_of_an_unknown_family_is_refused_with_a_sentence(version):
    body = {"dataset_version": version.pk, "family": "oracle"}
    answer = client_of(Role.VISION_DEVELOPER).post("/api/v1/runs/", body, "application/json")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid")


def test_a_quality_expert_may_accept_and_activate_but_not_train(station, version):
    candidate = proposed(version)
    client = client_of(Role.QUALITY_EXPERT)
    body = {"dataset_version": version.pk}

    assert client.post("/api/v1/runs/", body, "application/json").status_code == 403
    accepted = client.post(f"/api/v1/candidates/{candidate.pk}/acceptance/")
    assert accepted.status_code == 201
    golden = accepted.json()["golden"]
    assert (golden["number"], golden["state"]) == (2, "locked")

    activated = client.post(f"/api/v1/golden/{golden['id']}/activate/")

    assert activated.json()["state"] == "active"
    candidate.refresh_from_db()
    assert candidate.state == CandidateState.ACTIVATED
    assert active_golden(station.line).pk == golden["id"]


def test_a_locked_configuration_cannot_be_locked_again(station):
    golden = factories.golden(station, is_active=False)

    answer = client_of(Role.VISION_DEVELOPER).post(f"/api/v1/golden/{golden.pk}/lock/")

    assert (answer.status_code, answer.json()["error"]) == (409, "conflict")


def test_a_declined_candidate_cannot_be_accepted(version):
    candidate = actions.decline(candidate=proposed(version), actor=TESTER)

    answer = client_of(Role.QUALITY_EXPERT).post(f"/api/v1/candidates/{candidate.pk}/acceptance/")

    assert answer.status_code == 409


def test_candidates_are_listed_newest_first(version):
    first, second = proposed(version), proposed(version)

    answer = client_of(Role.QUALITY_EXPERT).get("/api/v1/candidates/")

    assert [each["id"] for each in answer.json()["results"]] == [second.pk, first.pk]


@pytest.mark.parametrize(
    "role", [Role.MANUAL_INSPECTOR, Role.LINE_OPERATOR, Role.MANAGER, Role.IMAGE_LABELER]
)
def test_other_roles_have_no_say_in_models(version, role):
    client, candidate = client_of(role), proposed(version)

    for address in (f"/api/v1/candidates/{candidate.pk}/acceptance/", "/api/v1/runs/"):
        assert client.post(address).status_code == 403
    for address in ("/training/", "/golden/"):
        assert client.get(address).status_code == 403


def test_a_role_on_another_line_cannot_touch_this_ones_golden_configuration(station):
    golden = factories.golden(station, is_active=False)

    answer = client_of(Role.VISION_DEVELOPER, line_code="OTHER").post(f"/api/v1/golden/{golden.pk}/activate/")

    assert answer.status_code == 404


def test_one_button_freezes_and_trains(station, version):
    client = client_of(Role.VISION_DEVELOPER)
    steps.graded_disc(station, seed=2, is_bad=True)

    page = client.post(
        "/training/start/", {"dataset": version.dataset_id, "family": "patchcore"}, follow=True
    )

    run = Run.objects.get()
    assert run.dataset_version.number == 2
    assert f"Run {run.pk} trains PatchCore on discs version 2." in page.content.decode()


def test_the_training_page_shows_a_running_run_and_its_progress(version):
    run = actions.start_run(dataset_version=version, family="patchcore", actor=TESTER)
    Run.objects.filter(pk=run.pk).update(
        state="running",
        progress=0.25,
        message="Looking at good part 3 of 12",
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
    )

    page = client_of(Role.QUALITY_EXPERT).get("/training/?fragment=training").content.decode()

    assert 'value="0.2500"' in page
    assert "Looking at good part 3 of 12" in page
    assert "/training/start/" not in client_of(Role.QUALITY_EXPERT).get("/training/").content.decode()


def test_the_activate_button_of_the_page_activates(station, version):
    candidate = proposed(version)
    client = client_of(Role.QUALITY_EXPERT)
    assert "Activate Candidate" in client.get("/training/").content.decode()

    answer = client.post(f"/training/candidates/{candidate.pk}/activate/", headers={"HX-Request": "true"})

    assert answer["HX-Redirect"] == "/training/"
    assert active_golden(station.line).candidate == candidate


def test_the_golden_page_offers_to_roll_back(station):
    first, _second = factories.golden(station), factories.golden(station)
    client = client_of(Role.VISION_DEVELOPER)
    assert "Roll back to it" in client.get("/golden/").content.decode()

    client.post(f"/api/v1/golden/{first.pk}/activate/")

    assert active_golden(station.line) == first


def test_an_integrator_sees_golden_configurations_without_buttons(station):
    factories.golden(station, is_active=False)

    page = client_of(Role.INTEGRATOR).get("/golden/").content.decode()

    assert "Golden configuration 1" in page
    assert "hx-confirm" not in page
