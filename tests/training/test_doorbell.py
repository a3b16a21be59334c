import socket
import time

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError


def test_a_ring_without_a_broker_gives_up_at_once(settings):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        began = time.monotonic()

        with (
            pytest.raises(OperationalError),
            Connection(url, transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS) as broker,
        ):
            _ = broker.default_channel

    assert time.monotonic() - began < 1
