"""The pages: who may open them, what stands on them, and when a fragment stays as it is."""

import pytest
from django.test import Client

from accounts.models import Role
from review.states import VerdictWord
from tests.factories import expert, inspector, person, station
from tests.review.helpers import leased_case, say, tied_case, waiting_case

pytestmark = pytest.mark.django_db


def client_of(who) -> Client:
    client = Client()
    client.force_login(who)
    return client


def test_the_workstation_counts_the_queue_of_the_own_lines():
    here, elsewhere = station(), station()
    waiting_case(here)
    waiting_case(elsewhere)
    by = inspector(line_code=here.line.code)

    context = client_of(by).get("/review/").context

    assert context["waiting_count"] == 1
    assert context["oldest_opened_at"] is not None
    assert context["decided_today"] == 0


def test_todays_count_is_of_verdicts_that_stand():
    by = inspector()
    for key in ("first", "second"):
        say(leased_case(by), by, VerdictWord.REJECT, key=key)
    say(leased_case(other := inspector()), other)

    assert client_of(by).get("/review/?fragment=queue").context["decided_today"] == 2


def test_the_queue_fragment_is_the_count_alone():
    answer = client_of(inspector()).get("/review/?fragment=queue")

    assert [template.name for template in answer.templates] == ["review/_queue.html"]
    assert answer.context["oldest_opened_at"] is None


@pytest.mark.parametrize("page", ["/review/", "/ties/"])
def test_pages_are_closed_to_other_roles(page):
    others = person(*set(Role) - {Role.MANUAL_INSPECTOR, Role.QUALITY_EXPERT})

    assert client_of(others).get(page).status_code == 403
    assert Client().get(page).headers["Location"] == f"/login/?next={page}"


def test_ties_are_the_experts_alone():
    assert client_of(inspector()).get("/ties/").status_code == 403
    assert client_of(expert()).get("/ties/").status_code == 200


def test_a_tie_shows_what_was_said_and_not_by_whom():
    case = tied_case()

    text = client_of(expert()).get("/ties/").content.decode()

    assert case.part.plc_part_id in text
    assert "Cannot tell" in text
    assert case.verdicts.get().person.username not in text
    assert case.verdicts.get().person.get_full_name() not in text


def test_a_fragment_that_would_show_the_same_ties_is_not_sent():
    case = tied_case()
    client = client_of(expert())

    assert client.get(f"/ties/?fragment=ties&shown={case.pk}").status_code == 204
    answer = client.get("/ties/?fragment=ties&shown=")
    assert answer.status_code == 200
    assert [tie["case"] for tie in answer.context["ties"]] == [case.pk]


def test_ties_of_other_lines_are_not_shown():
    tied_case()
    client = client_of(expert(line_code=station().line.code))

    assert client.get("/ties/").context["ties"] == []


@pytest.mark.parametrize("count", [1, 3])
def test_the_ties_take_the_same_number_of_questions_for_any_length(count, django_assert_num_queries):
    for _ in range(count):
        tied_case()
    client = client_of(expert())

    with django_assert_num_queries(10):
        client.get("/ties/?fragment=ties")


@pytest.mark.parametrize("page", ["/review/", "/ties/"])
def test_pages_are_only_read(page):
    assert client_of(expert()).post(page).status_code == 405
