"""A cursor comes from outside and may hold anything."""

from base64 import b64encode

import pytest

from accounts.models import Role
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("said", ["p=no-date", "p=9" + "9" * 40, "p=%00", "r=1&p=x"])
def test_a_cursor_that_holds_no_value_is_refused_and_never_an_error_of_ours(client, said):
    client.force_login(factories.person(Role.QUALITY_EXPERT))
    for address in ("cases", "candidates"):
        answer = client.get(f"/api/v1/{address}/", {"cursor": b64encode(said.encode()).decode()})
        assert answer.status_code in {200, 404}
        assert answer.status_code == 200 or set(answer.json()) == {"error", "detail"}
