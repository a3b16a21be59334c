"""The controller as an OPC UA server: the same tags as variables, signed and encrypted, with users and the same faults."""

import asyncio
import functools
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from asyncua import ua

from plc.drivers.opcua_access import NAMESPACE_URI
from plc.drivers.opcua_keys import KeyFolder, OwnKeys, new_keys
from plc.simulator.controller import Controller
from plc.simulator.faults import AT_ONCE, Fault
from plc.simulator.opcua_server import REPLY_FAULTS, TagServer, VariableRefusedError
from plc.simulator.tags import DISPOSITION, REAL, STRING, Member

T = TypeVar("T")
APPLICATION_URI = "urn:secondlook:simulated-plc"
USER, PASSWORD = "secondlook", "simulated-line"  # of the simulated PLC alone
FAULTS = AT_ONCE | {*REPLY_FAULTS, Fault.NO_SESSION}
WRITABLE = ("DispSeq", "AppHb")
LIMIT_S = 30.0
_T = ua.VariantType


@dataclass(frozen=True, slots=True)
class Variable:
    """One tag, or one member of VIS_x_Disp, as the server shows it."""

    name: str
    kind: ua.VariantType
    is_writable: bool
    tag: str
    offset: int = 0


class OpcUaSimulator(Controller):
    """A `Controller` that speaks OPC UA: SignAndEncrypt by two policies, one user, no anonymous.

    strict  refuse time stamps in writes as an S7 does; if not, open and anonymous connections are let in too
    state   beside it a folder with its key and certificate; without it they are of this process alone

    Any client certificate is taken, as by a controller that is being commissioned; the user's password is not.
    """

    def __init__(self, *, state: Path | str | None = None, **options: Any) -> None:
        super().__init__(state=state, **options)
        self._keys = Path(state).with_suffix(".opcua") if state else None
        self._server: TagServer | None = None
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda *_: None)
        self._variables = {v.name: v for mailbox in self._mailboxes for v in _variables(mailbox)}

    @property
    def own_keys(self) -> OwnKeys:
        if self._keys is None:
            return _keys_of_this_process()
        return KeyFolder(self._keys, application_uri=APPLICATION_URI, name="Simulated PLC").own()

    @property
    def connections(self) -> int:
        return self._server.sessions if self._server else 0

    def fault(self, fault: Fault | str, **options: Any) -> None:
        if Fault(fault) not in FAULTS:
            raise ValueError(f"{Fault(fault)} cannot happen over OPC UA.")
        super().fault(fault, **options)
        if Fault(fault) is Fault.DOWNLOAD:
            self._call(self._served.move_namespace())
            self._drop_clients()

    # the protocol

    @property
    def _served(self) -> TagServer:
        assert self._server is not None
        return self._server

    def _open_port(self) -> None:
        self._thread = threading.Thread(target=self._loop.run_forever, name="opcua-simulator", daemon=True)
        self._thread.start()
        server = TagServer(self, application_uri=APPLICATION_URI, namespace_uri=NAMESPACE_URI)
        self._call(server.listen(self.host, self.port, self.own_keys, list(self._variables.values())))
        self._server = server
        self.port = server.port

    def _serve(self) -> None:
        self._served.is_open = True

    def _drop_clients(self) -> None:
        """Does not wait: whoever calls may hold the memory that the server waits for."""
        self._loop.call_soon_threadsafe(self._served.drop_clients)

    def _close_port(self) -> None:
        if self._loop.is_closed():
            return
        if self._server is not None:
            self._call(self._server.close())
        self._call(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)

    # variables

    def read(self, name: str) -> Any:
        variable = self._variables[name]
        with self.tags.lock:
            data = self.tags.by_name[variable.tag.lower()].data
            if variable.kind == _T.String:
                length = struct.unpack_from("<i", data, variable.offset)[0]
                return bytes(data[variable.offset + 4 : variable.offset + 4 + length]).decode("latin-1")
            value = struct.unpack_from("<f" if variable.kind == _T.Float else "<i", data, variable.offset)[0]
        return bool(value) if variable.kind == _T.Boolean else value

    def write(self, name: str, value: Any) -> None:
        """One variable; a Write of several is no unit. Raises VariableRefusedError."""
        variable = self._variables[name]
        with self.tags.lock:
            data = self.tags.by_name[variable.tag.lower()].data
            if variable.kind == _T.String:
                raw = (value or "").encode("latin-1")
                if len(raw) > STRING.size - 6:
                    raise VariableRefusedError(ua.StatusCodes.BadOutOfRange)
                data[variable.offset : variable.offset + STRING.size] = struct.pack(
                    "<i", len(raw)
                ) + raw.ljust(STRING.size - 4, b"\0")
            else:
                struct.pack_into("<f" if variable.kind == _T.Float else "<i", data, variable.offset, value)


def _variables(mailbox: str) -> list[Variable]:
    """As a plant would declare them; the flag Final is a flag here."""
    own = [
        Variable(f"VIS_{mailbox}_Disp.{m.name}", _kind(m), True, f"VIS_{mailbox}_Disp", m.offset)
        for m in DISPOSITION.members
    ]
    numbers = ("DispSeq", "AppHb", "AckSeq", "AckCode", "PlcHb", "PlcBoot", "TrigSeq", "HoldFree", "Mode")
    own += [
        Variable(f"VIS_{mailbox}_{name}", _T.Int32, name in WRITABLE, f"VIS_{mailbox}_{name}")
        for name in numbers
    ]
    return own + [
        Variable(f"VIS_{mailbox}_{name}", _T.String, False, f"VIS_{mailbox}_{name}")
        for name in ("AckPartId", "TrigPartId")
    ]


def _kind(member: Member) -> ua.VariantType:
    if member.template is STRING:
        return _T.String
    if member.name == "Final":
        return _T.Boolean
    return _T.Float if member.type_code == REAL else _T.Int32


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@functools.cache
def _keys_of_this_process() -> OwnKeys:
    return new_keys(APPLICATION_URI, "Simulated PLC")
