"""ASGI entry: pages and REST by Django, /ws/live/ by Channels. `uvicorn config.asgi:application`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

# Consumers load models, so their import must follow Django's set-up above.
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import path  # noqa: E402

from audit.consumers import LiveConsumer  # noqa: E402
from config.body_limit import BodyLimit  # noqa: E402
from config.threads import ThreadedDjango  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": BodyLimit(ThreadedDjango()),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter([path("ws/live/", LiveConsumer.as_asgi())]))
        ),
    }
)
