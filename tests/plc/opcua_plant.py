"""A simulated OPC UA PLC and drivers that trust it, for tests."""

import time
from pathlib import Path

from plc.drivers.opcua import OpcUaDriver
from plc.drivers.opcua_access import Access
from plc.drivers.opcua_keys import KeyFolder
from plc.simulator.opcua import PASSWORD, USER, OpcUaSimulator

BOTH = ("S01", "H01")


def trusting_keys(folder: Path, simulator: OpcUaSimulator) -> Path:
    """A key folder in which a person has done what a person must do."""
    keys = KeyFolder(folder)
    keys.trust(simulator.own_keys.certificate)
    keys.store_password(USER, PASSWORD)
    return folder


def driver_of(simulator: OpcUaSimulator, keys: Path | None, **access) -> OpcUaDriver:
    return OpcUaDriver(
        "127.0.0.1", simulator.port, BOTH, access=Access(**{"timeout_s": 0.5, **access}), keys=keys
    )


def opened(simulator: OpcUaSimulator, keys: Path | None, **access) -> OpcUaDriver:
    driver = driver_of(simulator, keys, **access)
    driver.open()
    return driver


def settle(simulator: OpcUaSimulator, mailbox: str = "S01", seq: int = 1) -> None:
    until = time.monotonic() + 3
    while simulator.tags.number(f"VIS_{mailbox}_AckSeq") != seq and time.monotonic() < until:
        time.sleep(0.005)
