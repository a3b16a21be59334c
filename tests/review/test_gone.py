"""A person whose last page has closed keeps the case only for a moment, and for the full time once the page is back."""

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from review import actions
from review.actions.queue import GONE_FOR_S
from review.models import Case
from tests.factories import inspector
from tests.review.helpers import again, leased_case
from tests.review.live import page_of

pytestmark = pytest.mark.django_db(transaction=True)


@sync_to_async
def seconds_left(case: Case) -> float:
    return (again(case).lease_expires_at - timezone.now()).total_seconds()


async def test_the_lease_ends_soon_after_the_last_page_of_its_person_has_closed():
    by = await sync_to_async(inspector)()
    page = await page_of(by)
    case = await sync_to_async(leased_case)(by)
    assert await seconds_left(case) > GONE_FOR_S * 2

    await page.leave()

    assert await seconds_left(case) <= GONE_FOR_S


async def test_closing_one_of_two_tabs_changes_nothing():
    by = await sync_to_async(inspector)()
    first, second = await page_of(by), await page_of(by)
    case = await sync_to_async(leased_case)(by)

    await first.leave()

    assert await seconds_left(case) > GONE_FOR_S * 2
    await second.leave()


async def test_the_page_of_somebody_else_changes_nothing():
    page = await page_of(await sync_to_async(inspector)())
    case = await sync_to_async(leased_case)(await sync_to_async(inspector)())

    await page.leave()

    assert await seconds_left(case) > GONE_FOR_S * 2


async def test_a_page_that_comes_back_and_renews_has_the_full_time_again():
    by = await sync_to_async(inspector)()
    page = await page_of(by)
    case = await sync_to_async(leased_case)(by)
    await page.leave()

    page = await page_of(by)
    await sync_to_async(actions.renew_lease)(case=case, person=by, token=case.lease_token)

    assert await seconds_left(case) > GONE_FOR_S * 2
    await page.leave()


async def test_a_lease_that_ends_sooner_anyway_is_not_made_longer():
    by = await sync_to_async(inspector)()
    page = await page_of(by)
    case = await sync_to_async(leased_case)(by)
    soon = timezone.now() + timedelta(seconds=2)
    await sync_to_async(Case.objects.filter(pk=case.pk).update)(lease_expires_at=soon)

    await page.leave()

    assert await seconds_left(case) <= 2
