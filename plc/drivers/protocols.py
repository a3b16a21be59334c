"""Every protocol by the name that a link carries. A further one is its own file here and one entry below."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plc.drivers.driver import DriverError, PlcDriver

Options = Mapping[str, Any]


def _ethernet_ip(
    host: str, port: int, mailboxes: Sequence[str], options: Options, keys: Path | None
) -> PlcDriver:
    from plc.drivers.ethernet_ip import EthernetIpDriver  # a gateway loads its own protocol's library only

    return EthernetIpDriver(f"{host}:{port}", mailboxes, **options)


def _modbus(host: str, port: int, mailboxes: Sequence[str], options: Options, keys: Path | None) -> PlcDriver:
    from plc.drivers.modbus import ModbusDriver  # a gateway loads its own protocol's library only
    from plc.drivers.registers import Registers

    return ModbusDriver(host, port, mailboxes, registers=Registers(**options))


def _opcua(host: str, port: int, mailboxes: Sequence[str], options: Options, keys: Path | None) -> PlcDriver:
    from plc.drivers.opcua import OpcUaDriver  # a gateway loads its own protocol's library only
    from plc.drivers.opcua_access import Access

    return OpcUaDriver(host, port, mailboxes, access=Access(**options), keys=keys)


PROTOCOLS: dict[str, Callable[[str, int, Sequence[str], Options, Path | None], PlcDriver]] = {
    "ethernet_ip": _ethernet_ip,
    "modbus": _modbus,
    "opcua": _opcua,
}


def new_driver(
    protocol: str,
    host: str,
    port: int,
    mailboxes: Sequence[str],
    options: Options | None = None,
    *,
    keys: Path | None = None,
) -> PlcDriver:
    """An unopened driver. Raises DriverError for a protocol that there is not, or options that it does not have.

    keys  folder for what a protocol keeps secret; options are rows and seen by many
    """
    if protocol not in PROTOCOLS:
        raise DriverError(f"There is no driver for {protocol!r}.")
    try:
        return PROTOCOLS[protocol](host, port, mailboxes, options or {}, keys)
    except (TypeError, ValueError) as error:
        raise DriverError(f"The options of this {protocol} link are wrong: {error}") from error
