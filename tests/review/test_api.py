"""The REST of review as a program meets it."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from inspection import actions as floor
from inspection.states import Outcome, Reason
from review.models import Case, Verdict
from review.states import CaseState
from tests.factories import TESTER, decided_part, expert, inspector, person, station
from tests.review.helpers import again, leased_case, outcomes, sweep, tied_case, waiting_case

pytestmark = pytest.mark.django_db


def client_of(who) -> APIClient:
    client = APIClient()
    client.force_login(who)
    return client


def send(client, case, verdict="PASS", *, key="key", **body):
    return client.post(
        f"/api/v1/cases/{case['case']}/verdict/",
        {"lease": case["lease"]["token"], "verdict": verdict, **body},
        format="json",
        headers={"Idempotency-Key": key} if key else {},
    )


def lease(client):
    return client.post("/api/v1/cases/lease/", {}, format="json")


def test_the_lease_names_the_case_its_part_and_its_pictures():
    case = waiting_case(station(review_deadline_ms=60_000))
    waiting_case()

    answer = lease(client_of(inspector()))

    body = answer.json()
    assert answer.status_code == 200
    assert body["case"] == case.pk
    assert body["plc_part_id"] == case.part.plc_part_id
    assert body["state"] == CaseState.LEASED
    assert (body["reason"], body["reason_text"]) == (Reason.GREY_BAND, "Score in the grey band")
    assert (body["score"], body["grey_from"], body["grey_to"]) == (0.5, 0.3, 0.7)
    assert body["image_url"] == f"{reverse('case_image', args=[case.pk])}?view=main"
    assert body["map_url"] is None
    assert set(body["lease"]) == {"token", "expires_at"}
    assert (body["queue"]["waiting"], body["queue"]["ties"]) == (1, None)
    assert body["next"][0]["image_url"] != body["image_url"]


def test_nothing_to_lease_is_204():
    assert lease(client_of(inspector())).status_code == 204


def test_a_part_without_image_says_so_by_null():
    at = station()
    part = floor.trigger(station=at, trigger_seq=1, actor=TESTER)
    floor.hold_or_reject(part=part, reason=Reason.NO_IMAGE, actor=TESTER)

    body = lease(client_of(inspector())).json()

    assert (body["image_url"], body["map_url"], body["score"], body["grey_from"]) == (None, None, None, None)
    assert body["reason_text"] == "No image"


def test_a_verdict_is_answered_with_the_time_until_it_can_be_undone():
    client = client_of(inspector())
    waiting_case()

    answer = send(client, lease(client).json(), "REJECT", note="scratch", defect_type="scratch", seen_ms=1200)

    assert answer.status_code == 200
    assert answer.json()["verdict"] == "REJECT"
    assert answer.json()["undo_until"] > answer.json()["given_at"]
    assert (Verdict.objects.get().seen_ms, Verdict.objects.get().note) == (1200, "scratch")


def test_the_same_key_again_is_answered_the_same_even_after_the_part_is_disposed():
    client = client_of(inspector())
    waiting_case()
    case = lease(client).json()

    first = send(client, case)
    sweep(after_s=4)
    second = send(client, case)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert Verdict.objects.count() == 1


def test_a_verdict_without_idempotency_key_is_refused_with_a_sentence():
    client = client_of(inspector())
    waiting_case()

    for key in ("", "x" * 65):
        answer = send(client, lease(client).json(), key=key)
        assert answer.status_code == 400
        assert answer.json()["error"] == "missing_idempotency_key"
    assert "Idempotency-Key" in answer.json()["detail"]


def test_a_second_word_on_a_decided_case_is_too_late():
    client = client_of(inspector())
    waiting_case()
    case = lease(client).json()
    send(client, case, "PASS", key="one")

    answer = send(client, case, "REJECT", key="two")

    assert (answer.status_code, answer.json()["error"]) == (409, "too_late")


def test_a_verdict_under_a_foreign_or_ended_lease_is_409():
    client = client_of(inspector())
    waiting_case()
    case = lease(client).json()

    foreign = send(client_of(inspector()), case)
    sweep(after_s=61)
    ended = send(client, case)

    for answer in (foreign, ended):
        assert (answer.status_code, answer.json()["error"]) == (409, "lease_ended")
    assert Verdict.objects.count() == 0


@pytest.mark.parametrize(
    "body",
    [
        '{"lease": "x", "verdict": "PASS", "seen_ms": NaN}',
        '{"lease": "x", "verdict": "PASS", "seen_ms": Infinity}',
        '{"lease": "x", "verdict": "PASS", "seen_ms": -1}',
        '{"lease": "x", "verdict": "PASS", "seen_ms": 1e400}',
        '{"lease": "x", "verdict": "pass"}',
        '{"lease": "x", "verdict": "HOLD"}',
        '{"verdict": "PASS"}',
        '{"lease": "x", "verdict": "PASS", "note": "\\u0000"}',
        '["PASS"]',
        "PASS",
        "",
    ],
)
def test_what_is_not_a_verdict_is_400(body):
    client = client_of(inspector())
    case = waiting_case()

    answer = client.post(
        f"/api/v1/cases/{case.pk}/verdict/",
        body,
        content_type="application/json",
        headers={"Idempotency-Key": "key"},
    )

    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "detail"}


def test_undo_puts_the_case_back_under_a_new_lease():
    client = client_of(inspector())
    waiting_case()
    case = lease(client).json()
    send(client, case)

    answer = client.delete(f"/api/v1/cases/{case['case']}/verdict/")

    assert answer.status_code == 200
    assert answer.json()["case"] == case["case"]
    assert answer.json()["lease"]["token"] != case["lease"]["token"]
    assert send(client, answer.json(), "REJECT", key="again").status_code == 200


def test_undo_after_the_window_or_by_somebody_else_is_409():
    client = client_of(inspector())
    waiting_case()
    case = lease(client).json()
    send(client, case)

    foreign = client_of(inspector()).delete(f"/api/v1/cases/{case['case']}/verdict/")
    sweep(after_s=4)
    late = client.delete(f"/api/v1/cases/{case['case']}/verdict/")

    assert (foreign.status_code, late.status_code, late.json()["error"]) == (409, 409, "too_late")


def test_a_lease_is_renewed_and_given_back():
    client = client_of(inspector())
    waiting_case()
    case = lease(client).json()
    where = f"/api/v1/cases/{case['case']}/lease/"

    renewed = client.post(where, {"token": case["lease"]["token"]}, format="json")
    stale = client.delete(where, {"token": "an older lease"}, format="json")
    given_back = client.delete(where)

    assert renewed.status_code == 200
    assert renewed.json()["lease"]["expires_at"] > case["lease"]["expires_at"]
    assert (stale.status_code, given_back.status_code) == (409, 204)
    assert client.post(where, {"token": case["lease"]["token"]}, format="json").status_code == 409
    assert Case.objects.get().state == CaseState.WAITING


def test_an_escalation_is_a_cannot_tell_for_the_expert():
    client = client_of(inspector())
    waiting_case()
    case = lease(client).json()

    answer = client.post(
        f"/api/v1/cases/{case['case']}/escalate/",
        {"lease": case["lease"]["token"], "note": "new kind of mark"},
        format="json",
        headers={"Idempotency-Key": "key"},
    )
    sweep(after_s=4)

    assert (answer.json()["verdict"], answer.json()["is_escalation"]) == ("CANNOT_TELL", True)
    ties = client_of(expert()).get("/api/v1/ties/").json()["results"]
    assert [tie["opinions"][0]["is_escalation"] for tie in ties] == [True]


def test_an_undone_opinion_is_not_shown_and_no_opinion_has_a_name():
    case = tied_case()
    name = case.verdicts.get().person.username

    answer = client_of(expert()).get("/api/v1/ties/")

    assert [tie["case"] for tie in answer.json()["results"]] == [case.pk]
    assert [opinion["verdict"] for opinion in answer.json()["results"][0]["opinions"]] == ["CANNOT_TELL"]
    assert name not in answer.content.decode()


def test_the_expert_rules_a_tie():
    case = tied_case()
    client = client_of(expert())

    answer = client.post(f"/api/v1/ties/{case.pk}/ruling/", {"grade": "good", "note": "dust"}, format="json")
    repeated = client.post(f"/api/v1/ties/{case.pk}/ruling/", {"grade": "bad", "note": "no"}, format="json")

    assert (answer.status_code, answer.json()["grade"]) == (200, "good")
    assert (repeated.status_code, repeated.json()["error"]) == (409, "too_late")
    assert outcomes(case.part) == [Outcome.PASS]


def test_a_case_that_is_no_tie_cannot_be_ruled():
    case = waiting_case()

    answer = client_of(expert()).post(
        f"/api/v1/ties/{case.pk}/ruling/", {"grade": "good", "note": ""}, format="json"
    )

    assert answer.status_code == 409
    assert outcomes(case.part) == []


def test_an_inspector_sees_no_ties_and_rules_none():
    case = tied_case()
    client = client_of(inspector())

    assert client.get("/api/v1/ties/").status_code == 403
    assert client.post(f"/api/v1/ties/{case.pk}/ruling/", {"grade": "good"}, format="json").status_code == 403
    assert again(case).state == CaseState.TIED


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("get", "/api/v1/cases/"),
        ("post", "/api/v1/cases/lease/"),
        ("post", "/api/v1/cases/1/lease/"),
        ("delete", "/api/v1/cases/1/lease/"),
        ("post", "/api/v1/cases/1/verdict/"),
        ("delete", "/api/v1/cases/1/verdict/"),
        ("post", "/api/v1/cases/1/escalate/"),
        ("get", "/api/v1/ties/"),
        ("post", "/api/v1/ties/1/ruling/"),
    ],
)
def test_other_roles_are_refused_everywhere(method, address):
    from accounts.models import Role

    others = person(*set(Role) - {Role.MANUAL_INSPECTOR, Role.QUALITY_EXPERT})

    assert getattr(client_of(others), method)(address).status_code == 403
    assert getattr(APIClient(), method)(address).status_code == 401


def test_a_case_of_another_line_does_not_exist_for_me():
    at, other = station(), station()
    case = leased_case(inspector(), at)
    mine = inspector(line_code=other.line.code)
    client = client_of(mine)

    assert lease(client).status_code == 204
    assert client.get("/api/v1/cases/").json()["results"] == []
    assert client.delete(f"/api/v1/cases/{case.pk}/verdict/").status_code == 404


def test_without_csrf_token_no_browser_session_gives_a_verdict():
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(inspector())

    assert lease(client).status_code == 403


def test_the_queue_is_listed_most_urgent_first_and_by_state():
    late = waiting_case(station(review_deadline_ms=600_000))
    urgent = waiting_case(station(review_deadline_ms=60_000))
    client = client_of(inspector())

    assert [each["case"] for each in client.get("/api/v1/cases/").json()["results"]] == [urgent.pk, late.pk]
    assert len(client.get("/api/v1/cases/?state=waiting").json()["results"]) == 2
    assert client.get("/api/v1/cases/?state=leased").json()["results"] == []
    assert client.get("/api/v1/cases/?state=lost").status_code == 400


def test_pages_of_the_queue_repeat_and_lose_nothing_while_it_moves(monkeypatch):
    from review.api.base import CasePages

    monkeypatch.setattr(CasePages, "page_size", 2)
    at = station()
    cases = [waiting_case(at) for _ in range(5)]
    client = client_of(inspector())

    first = client.get("/api/v1/cases/?state=waiting").json()
    lease(client)
    second = client.get(first["next"]).json()
    third = client.get(second["next"]).json()

    seen = [each["case"] for page in (first, second, third) for each in page["results"]]
    assert seen == [case.pk for case in cases]
    assert third["next"] is None


@pytest.mark.parametrize("count", [1, 3])
def test_the_queue_takes_the_same_number_of_questions_for_any_length(count, django_assert_num_queries):
    at = station()
    for _ in range(count):
        waiting_case(at)
    client = client_of(inspector())

    with django_assert_num_queries(8):
        assert len(client.get("/api/v1/cases/").json()["results"]) == count


def test_a_score_that_is_not_finite_is_told_as_none():
    decided_part(station(), float("nan"))

    body = lease(client_of(inspector())).json()

    assert body["score"] is None
    assert body["reason_text"] == "Score is not a finite number"
