"""`Authorization: Token …` of a machine account."""

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import DeviceAccount
from accounts.queries import device_by_token


class DeviceTokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[DeviceAccount, None] | None:
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"token":
            return None
        if len(words) != 2:
            raise AuthenticationFailed("The header must read: Authorization: Token <token>.")
        device = device_by_token(words[1].decode("latin-1"))
        if device is None:
            raise AuthenticationFailed(
                "This device token is unknown or switched off. Ask the integrator for a new one."
            )
        return device, None

    def authenticate_header(self, request: Request) -> str:
        return "Token"
