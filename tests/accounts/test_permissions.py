"""Roles deny by default; device tokens open what is theirs and nothing else."""

import pytest
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from accounts.actions import add_device, add_person
from accounts.models import DeviceAccount, DeviceKind, Person, Role
from accounts.permissions import AnyPerson, CameraDevice, holds, role_required
from accounts.queries import device_by_token, has_role, has_role_on, line_codes, roles_of, token_digest
from tests.factories import PASSWORD, expert, inspector, person

pytestmark = pytest.mark.django_db


@role_required(Role.QUALITY_EXPERT)
def expert_page(request):
    return HttpResponse("for experts")


def opened_by(who):
    request = RequestFactory().get("/")
    request.user = who
    return expert_page(request)


class Unnamed(APIView):
    """An address for which nobody was named."""

    def get(self, request):
        return Response("reached")


def asked_by(who, *permissions) -> int:
    view = type("View", (Unnamed,), {"permission_classes": permissions} if permissions else {}).as_view()
    request = APIRequestFactory().get("/")
    force_authenticate(request, user=who)
    return view(request).status_code


def camera() -> DeviceAccount:
    return device_by_token(add_device(name="camera", kind=DeviceKind.CAMERA))


def test_a_page_opens_for_its_role_and_names_it_to_others():
    assert opened_by(expert()).content == b"for experts"
    with pytest.raises(PermissionDenied, match="needs the role Quality expert"):
        opened_by(inspector())
    with pytest.raises(PermissionDenied):
        opened_by(person())
    with pytest.raises(PermissionDenied):
        opened_by(camera())


def test_a_person_who_left_holds_no_role():
    gone = expert()
    gone.is_active = False

    assert not has_role(gone, Role.QUALITY_EXPERT)
    with pytest.raises(PermissionDenied):
        opened_by(gone)


def test_an_address_for_which_nobody_is_named_lets_nobody_in():
    administrator = add_person(username="root", password=PASSWORD, name="R", roles=list(Role), is_staff=True)
    administrator.is_superuser = True

    assert asked_by(administrator) == 403
    assert asked_by(camera()) == 403


def test_each_permission_lets_in_exactly_its_own():
    people = {"expert": expert(), "inspector": inspector(), "nobody": person(), "camera": camera()}

    def let_in(permission):
        return {name for name, who in people.items() if asked_by(who, permission) == 200}

    assert let_in(holds(Role.QUALITY_EXPERT)) == {"expert"}
    assert let_in(holds(Role.QUALITY_EXPERT, Role.MANUAL_INSPECTOR)) == {"expert", "inspector"}
    assert let_in(AnyPerson) == {"expert", "inspector", "nobody"}
    assert let_in(CameraDevice) == {"camera"}


def test_a_plc_account_is_no_camera():
    plc = device_by_token(add_device(name="plc", kind=DeviceKind.PLC))

    assert asked_by(plc, CameraDevice) == 403


def test_roles_count_on_their_line_only():
    here = inspector(line_code="L1")
    everywhere = inspector()

    assert line_codes(here, Role.MANUAL_INSPECTOR) == {"L1"}
    assert line_codes(here, Role.QUALITY_EXPERT) == set()
    assert line_codes(everywhere, Role.MANUAL_INSPECTOR) is None
    assert has_role_on(here, "L1", Role.MANUAL_INSPECTOR)
    assert not has_role_on(here, "L2", Role.MANUAL_INSPECTOR)
    assert has_role_on(everywhere, "L2", Role.MANUAL_INSPECTOR)
    assert roles_of(here) == {Role.MANUAL_INSPECTOR}


def test_of_a_device_token_only_the_hash_is_kept():
    token = add_device(name="camera", kind=DeviceKind.CAMERA)

    assert DeviceAccount.objects.get().token_sha256 == token_digest(token)
    assert token not in str(DeviceAccount.objects.values().get())


def test_a_new_token_ends_the_old_one():
    old = add_device(name="camera", kind=DeviceKind.CAMERA)
    new = add_device(name="camera", kind=DeviceKind.CAMERA)

    assert device_by_token(old) is None
    assert device_by_token(new) == DeviceAccount.objects.get()


def test_a_device_that_is_switched_off_is_nobody():
    token = add_device(name="camera", kind=DeviceKind.CAMERA)
    DeviceAccount.objects.update(is_active=False)

    assert device_by_token(token) is None


@pytest.mark.parametrize("header", ["Token", "Token a b", "Token wrong", "token \xff", "Token "])
def test_a_wrong_token_is_401_with_a_sentence(header):
    answer = APIClient().post("/api/v1/captures/", headers={"Authorization": header})

    assert answer.status_code == 401
    assert set(answer.json()) == {"error", "detail"}
    assert answer.headers["WWW-Authenticate"] == "Token"


def test_a_camera_token_opens_captures_and_not_the_queue():
    token = add_device(name="camera", kind=DeviceKind.CAMERA)
    client = APIClient(headers={"Authorization": f"Token {token}"})

    assert client.post("/api/v1/captures/").status_code == 400
    assert client.get("/api/v1/cases/").status_code == 403
    assert client.get("/review/").status_code == 302


def test_a_person_is_made_once_and_the_password_can_be_set_again():
    add_person(username="anna", password="first password", name="Anna", roles=[Role.MANAGER])
    anna = add_person(
        username="anna", password=PASSWORD, name="Anna Bell", roles=[Role.MANAGER, Role.INTEGRATOR]
    )

    assert Person.objects.get() == anna
    assert anna.check_password(PASSWORD)
    assert anna.get_full_name() == "Anna Bell"
    assert roles_of(anna) == {Role.MANAGER, Role.INTEGRATOR}


def test_ten_wrong_passwords_lock_the_login(client):
    inspector(name="anna")

    for _ in range(10):
        client.post("/login/", {"username": "anna", "password": "wrong"})
    answer = client.post("/login/", {"username": "anna", "password": PASSWORD})

    assert answer.status_code == 429
    assert "_auth_user_id" not in client.session
