"""The integrator makes machine accounts from the shell."""

import io

import pytest
from django.core.management import call_command

from accounts.queries import device_by_token

pytestmark = pytest.mark.django_db


def test_add_device_prints_the_one_token_that_opens_the_account():
    printed = io.StringIO()
    call_command("add_device", "camera-S01", station="S01", stdout=printed)
    device = device_by_token(printed.getvalue().strip())
    assert (device.name, device.station_code, device.kind) == ("camera-S01", "S01", "camera")


def test_a_new_token_ends_the_old_one():
    old, new = io.StringIO(), io.StringIO()
    call_command("add_device", "camera-S01", stdout=old)
    call_command("add_device", "camera-S01", stdout=new)
    assert device_by_token(old.getvalue().strip()) is None
    assert device_by_token(new.getvalue().strip()) is not None
