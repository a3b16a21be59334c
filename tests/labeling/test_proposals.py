"""Boxes that inspectors mark become labels, and a later ruling stands above an earlier grade."""

import pytest
from django.test import Client

from accounts.models import Role
from labeling import actions, queries
from labeling.masks import mask_of
from labeling.models import Grade, Label
from review import actions as review
from review.models import Case, Verdict
from review.states import Grade as Word
from review.states import VerdictWord
from tests import factories
from tests.factories import TESTER
from tests.labeling import steps

pytestmark = pytest.mark.django_db


@pytest.fixture
def station():
    return factories.station()


def marked(part, marks) -> Verdict:
    """An inspector rejects the part and draws boxes; the grade follows."""
    steps.close_by_verdict(part, VerdictWord.REJECT)
    actions.grade_closed_cases(actor=TESTER)
    Verdict.objects.filter(case__part=part).update(marks=marks)
    return Verdict.objects.get(case__part=part)


def client_of(person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_a_marked_box_becomes_the_label_and_is_proposed_no_more(station):
    part = steps.held_disc(station, seed=1, is_bad=True)
    verdict = marked(part, [[10, 20, 5, 4]])
    labeler = client_of(factories.person(Role.IMAGE_LABELER))

    (proposed,) = labeler.get("/api/v1/labels/proposals/").json()["results"]
    taken = labeler.post(f"/api/v1/labels/proposals/{proposed['id']}/")

    assert (proposed["id"], proposed["part"], proposed["marks"]) == (verdict.pk, part.pk, [[10, 20, 5, 4]])
    assert taken.status_code == 201
    mask = mask_of(Label.objects.get(part=part))
    assert mask.sum() == 20
    assert mask[20:24, 10:15].all()
    assert labeler.get("/api/v1/labels/proposals/").json()["results"] == []


def test_a_box_is_cut_at_the_edge_of_the_picture(station):
    verdict = marked(steps.held_disc(station, seed=1, is_bad=True), [[60, 60, 100, 100]])
    label = actions.take_proposal(verdict=verdict, person=factories.person(Role.IMAGE_LABELER), actor=TESTER)
    assert label.defect_pixels == 16


def test_a_box_outside_of_the_picture_is_refused_with_a_sentence(station):
    verdict = marked(steps.held_disc(station, seed=1, is_bad=True), [[64, 64, 5, 5]])
    labeler = client_of(factories.person(Role.IMAGE_LABELER))
    answer = labeler.post(f"/api/v1/labels/proposals/{verdict.pk}/")
    assert answer.status_code == 400
    assert "outside of the picture" in answer.json()["detail"]
    assert not Label.objects.exists()


def test_only_who_paints_takes_a_proposal(station):
    verdict = marked(steps.held_disc(station, seed=1, is_bad=True), [[1, 1, 5, 5]])
    developer = client_of(factories.person(Role.VISION_DEVELOPER))
    assert developer.post(f"/api/v1/labels/proposals/{verdict.pk}/").status_code == 403


def test_the_labels_page_shows_what_inspectors_marked(station):
    part = steps.held_disc(station, seed=1, is_bad=True)
    marked(part, [[1, 1, 5, 5]])
    page = client_of(factories.person(Role.IMAGE_LABELER)).get("/labels/").content.decode()
    assert "Marked by inspectors" in page
    assert "Take as label" in page


def test_marks_of_a_probe_are_no_proposals(station):
    part = steps.held_disc(station, seed=1, is_bad=True)
    verdict = marked(part, [[1, 1, 5, 5]])
    part.refresh_from_db()
    probe = review.add_probe(part=part, grade=Word.BAD, person=None, actor=TESTER)
    Case.objects.filter(pk=verdict.case_id).update(kind="probe", probe=probe)
    assert not queries.proposals_on(None).exists()


def test_a_flag_that_is_ruled_bad_overrules_the_grade(station):
    part = steps.held_disc(station, seed=1, is_bad=True)
    steps.close_by_verdict(part, VerdictWord.PASS)
    actions.grade_closed_cases(actor=TESTER)
    part.refresh_from_db()
    case = review.flag_part(part=part, person=factories.person(Role.LINE_OPERATOR), note="a scratch")
    expert = factories.expert()
    review.rule(case=case, person=expert, grade=Word.BAD, note="seen", defect_type="scratch")

    assert actions.grade_closed_cases(actor=TESTER) == 1
    assert actions.grade_closed_cases(actor=TESTER) == 0

    grade = Grade.objects.get(part=part)
    assert (grade.grade, grade.source, grade.person, grade.defect_type) == (
        "bad",
        "ruling",
        expert,
        "scratch",
    )
