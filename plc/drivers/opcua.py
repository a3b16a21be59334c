"""PLCs that are OPC UA servers, by asyncua 2.1.0, with a rule for each hazard that was found in it and in servers.

O1 nobody but a person trusts a certificate: the library takes whatever the server shows - O2 certificates out of
their time are refused with a sentence about clocks, the library only logs it; ours begins a month ago - O3 a type
beside every value, compared with the server's at the opening: the library makes an Int64 of every int - O4 every
StatusCode is asked, the library returns a refused write as if nothing had happened, and None for a bad reading -
O5 no time stamps in writes: S7 and others refuse them - O6 no task of the library runs behind our back: no watchdog
reading, no reconnecting, no renewal whose failure nobody hears; the channel is renewed between two exchanges - O7
closing takes a quarter of a second at most and then cuts; the library's waits its full time-out for a dead peer -
O8 sessions are short: one left behind ends by itself in half a minute, the library asks for an hour - O9 the index
of a namespace moves: asked at every connection - O10 the order of a Read is the server's own: when AckSeq moved, all
is read once more - O11 a text never written is null and reads as empty; a bool is no number - O12 passwords stay out
of logs (the library writes them at level DEBUG) and off open connections - O13 one owner thread, and a loop thread
that may hang without holding it - O14 a write in two parts is no unit: DispSeq goes in a Write of its own - O15
nothing here is repeated on failure, the handshake is idempotent by number.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from asyncua import Client, ua
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties

from plc.drivers.driver import DriverError, Payload
from plc.drivers.opcua_access import NO_SECURITY, Access
from plc.drivers.opcua_keys import APPLICATION_URI, KeyFolder, fingerprint, first_certificate, time_problem
from plc.drivers.opcua_loop import LoopThread
from plc.drivers.opcua_values import (
    STATUS_NAMES,
    WRITTEN,
    checked,
    is_unknown,
    node_id,
    reading,
    type_to_write,
    variant,
)
from plc.handshake import Status, validate_part_id

# Every failure reaches the caller as DriverError; the library would log requests with their passwords beside it (O12).
logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)

T = TypeVar("T")
OPENING_TAKES = 4  # times the time-out: endpoints, channel, session, types
CLOSING_S = 0.25
SESSION_MS = 30_000
CHANNEL_MS = 3_600_000
READINGS_AT_MOST = 4
RENEW_AFTER = 0.7  # of a channel's life; the standard says by 0.75


class OpcUaDriver:
    """A `PlcDriver` for one OPC UA server.

    access  options of the link
    keys    folder of `KeyFolder`; needed for anything but security None
    """

    def __init__(
        self, host: str, port: int, mailboxes: Sequence[str], *, access: Access, keys: Path | None = None
    ) -> None:
        self._url = f"opc.tcp://{host}:{port}"
        self._mailboxes = tuple(mailboxes)
        self._access = access
        self._keys = KeyFolder(keys) if keys else None
        self._owner = threading.get_ident()
        self._loop: LoopThread | None = None
        self._client: Client | None = None
        self._is_spent = False
        self._renew_at = math.inf
        self._nodes: dict[tuple[str, str], ua.NodeId] = {}
        self._types: dict[tuple[str, str], ua.VariantType] = {}
        self._acked: dict[str, int] = {}

    def open(self) -> None:
        self._check_owner()
        if self._loop is not None or self._is_spent:
            raise DriverError("This driver was used before; take a new one.")
        self._loop = LoopThread(f"opcua {self._url}")
        try:
            self._run(self._connect(), OPENING_TAKES * self._access.timeout_s)
            self._run(self._find_variables(), OPENING_TAKES * self._access.timeout_s)
        except DriverError as error:
            self.close()
            raise DriverError(f"No connection to the PLC at {self._url}: {error}") from error

    def close(self) -> None:
        self._is_spent = True
        loop, self._loop = self._loop, None
        client, self._client = self._client, None
        if loop is None:
            return
        if client is not None:
            with contextlib.suppress(Exception):  # the peer may be gone; then there is nothing to hand back
                loop.call(_leave(client), CLOSING_S)
        loop.stop(lambda: _cut(client))

    def read_status(self, mailboxes: Sequence[str]) -> dict[str, Status]:
        self._check_open()
        statuses = self._read_once(mailboxes)
        moved = [name for name in mailboxes if self._acked.get(name) != statuses[name].ack_seq]
        for _ in range(READINGS_AT_MOST):
            self._acked |= {name: statuses[name].ack_seq for name in moved}
            if not moved:
                return statuses
            again = self._read_once(moved)  # what AckSeq vouches for was written before it (O10)
            statuses |= again
            moved = [name for name in moved if again[name].ack_seq != self._acked[name]]
        raise DriverError(f"AckSeq of {' '.join(moved)} does not stand still.")

    def write_payload(self, mailbox: str, payload: Payload, app_hb: int) -> None:
        validate_part_id(str(payload["PartId"]))
        self._write(
            [(mailbox, f"Disp.{name}", value) for name, value in payload.items()]
            + [(mailbox, "AppHb", app_hb)]
        )

    def write_seq(self, mailbox: str, seq: int, app_hb: int) -> None:
        self._write([(mailbox, "DispSeq", seq), (mailbox, "AppHb", app_hb)])

    def write_heartbeat(self, mailboxes: Sequence[str], app_hb: int) -> None:
        self._write([(mailbox, "AppHb", app_hb) for mailbox in mailboxes])

    # the opening

    async def _connect(self) -> None:
        client = Client(self._url, timeout=self._access.timeout_s)
        client.name = client.description = "Second Look"
        client.application_uri = APPLICATION_URI
        client.session_timeout = SESSION_MS
        client.secure_channel_timeout = CHANNEL_MS
        if self._access.security != NO_SECURITY:
            await self._secure(client)
        if self._access.user:
            client.set_user(self._access.user)
            client.set_password(self._password())
        self._client = client
        # Not `connect`: it would start a watchdog, a supervisor and a renewal of its own (O6).
        await client.connect_socket()
        await client.send_hello()
        await self._open_channel(client, renew=False)
        await client.create_session()
        await client.activate_session(username=client._username, password=client._password)

    async def _secure(self, client: Client) -> None:
        if self._keys is None:
            raise DriverError("This process was given no folder for its keys.")
        own = self._keys.own()
        if problem := time_problem(own.certificate):
            raise DriverError(f"Our own certificate {problem}")
        # This first look is open and proves nothing; what it showed is held against the trust list before any secret
        # is spoken, and the channel is opened to that very certificate.
        certificate = self._trusted(await _shown_certificate(self._url, self._access))
        await client.set_security(
            _policy(self._access),
            CertProperties(own.certificate, "der"),
            CertProperties(own.key, "der"),
            server_certificate=CertProperties(certificate, "der"),
        )

    def _trusted(self, certificate: bytes) -> bytes:
        assert self._keys is not None
        if not self._keys.trusts(certificate):
            self._keys.refuse(certificate)
            raise DriverError(
                f"The server's certificate is not trusted. Compare its SHA-256 {fingerprint(certificate)} with what"
                " the PLC's tool shows, then: manage.py trust_opcua LINK --sha256 …"
            )
        if problem := time_problem(certificate):
            raise DriverError(f"The server's certificate {problem}")
        return certificate

    def _password(self) -> str:
        if self._keys is None:
            raise DriverError("This process was given no folder for its passwords.")
        try:
            return self._keys.password(self._access.user)
        except OSError as error:
            raise DriverError(
                f"There is no password for {self._access.user!r}. Store it: manage.py trust_opcua LINK --password"
            ) from error

    async def _open_channel(self, client: Client, *, renew: bool) -> None:
        await client.open_secure_channel(renew=renew)
        self._renew_at = time.monotonic() + client.secure_channel_timeout / 1000 * RENEW_AFTER

    async def _find_variables(self) -> None:
        assert self._client is not None
        names = [name for name, _ in STATUS_NAMES.values()]
        wanted = [(m, name) for m in self._mailboxes for name in dict.fromkeys([*names, *WRITTEN])]
        uris = await self._client.get_namespace_array()
        if self._access.namespace not in uris:
            raise DriverError(
                f"The server has no namespace {self._access.namespace!r}, but {', '.join(uris)}."
            )
        index = uris.index(self._access.namespace)
        shown = {key: self._access.identifier(*key) for key in wanted}
        if self._access.path:
            self._nodes = await _by_path(self._client, shown, index)
        else:
            self._nodes = {key: node_id(text, index) for key, text in shown.items()}
        values = await self._client.uaclient.read(reading([self._nodes[key] for key in wanted]))
        missing = [shown[key] for key, value in zip(wanted, values, strict=True) if is_unknown(value)]
        if missing:
            raise DriverError(f"The PLC program has no variable {_some(missing)}.")
        for key, value in zip(wanted, values, strict=True):
            if key[1] in WRITTEN:
                self._types[key] = type_to_write(shown[key], value, WRITTEN[key[1]])

    # exchanges

    def _read_once(self, mailboxes: Sequence[str]) -> dict[str, Status]:
        keys = [(mailbox, name) for mailbox in mailboxes for name, _ in STATUS_NAMES.values()]
        values = self._exchange("read", reading([self._nodes[key] for key in keys]))
        if len(values) != len(keys):
            raise DriverError(f"{len(values)} values for {len(keys)} variables.")
        statuses = {}
        for index, mailbox in enumerate(mailboxes):
            own = values[index * len(STATUS_NAMES) : (index + 1) * len(STATUS_NAMES)]
            statuses[mailbox] = Status(
                **{
                    field: checked(self._access.identifier(mailbox, name), value, kind)
                    for (field, (name, kind)), value in zip(STATUS_NAMES.items(), own, strict=True)
                }
            )
        return statuses

    def _write(self, what: Sequence[tuple[str, str, int | float | str]]) -> None:
        """One Write service call; every variable of it must have been taken."""
        self._check_open()
        items = [
            ua.WriteValue(
                NodeId=self._nodes[mailbox, name],
                AttributeId=ua.AttributeIds.Value,
                Value=ua.DataValue(variant(value, self._types[mailbox, name])),  # no time stamp (O5)
            )
            for mailbox, name, value in what
        ]
        codes = self._exchange("write", ua.WriteParameters(NodesToWrite=items))
        if len(codes) != len(what):
            raise DriverError(f"{len(codes)} results for {len(what)} variables.")
        for (mailbox, name, _), code in zip(what, codes, strict=True):
            if code.value != ua.StatusCodes.Good:
                raise DriverError(f"{self._access.identifier(mailbox, name)}: {code.name}")

    def _exchange(self, verb: str, parameters: Any) -> list[Any]:
        assert self._client is not None
        if time.monotonic() >= self._renew_at:
            self._run(self._open_channel(self._client, renew=True), self._access.timeout_s)
        answer = self._run(getattr(self._client.uaclient, verb)(parameters), self._access.timeout_s)
        return list(answer)

    def _run(self, work: Coroutine[Any, Any, T], within_s: float) -> T:
        """Raises DriverError; after that nothing more goes over this connection."""
        assert self._loop is not None
        try:
            return self._loop.call(work, within_s)
        except DriverError:
            self._is_spent = True
            raise
        except Exception as error:
            self._is_spent = True
            raise DriverError(_sentence(error, within_s)) from error

    def _check_open(self) -> None:
        self._check_owner()
        if self._client is None or self._is_spent:
            raise DriverError("This driver is not open.")

    def _check_owner(self) -> None:
        if threading.get_ident() != self._owner:
            raise RuntimeError("A PLC driver belongs to the thread that made it (O13).")


def server_certificate(host: str, port: int, access: Access) -> bytes:
    """What a server shows of itself, trusted or not, for a person to compare. Raises DriverError."""
    loop = LoopThread(f"opcua look at {host}")
    try:
        return loop.call(
            _shown_certificate(f"opc.tcp://{host}:{port}", access), OPENING_TAKES * access.timeout_s
        )
    except DriverError:
        raise
    except Exception as error:
        raise DriverError(_sentence(error, access.timeout_s)) from error
    finally:
        loop.stop(lambda: None)


async def _shown_certificate(url: str, access: Access) -> bytes:
    endpoints = await Client(url, timeout=access.timeout_s).connect_and_get_server_endpoints()
    try:
        mode = ua.MessageSecurityMode.SignAndEncrypt
        endpoint = Client.find_endpoint(endpoints, mode, _policy(access).URI)
        certificate = first_certificate(endpoint.ServerCertificate or b"")
        time_problem(certificate)  # reads all of it
    except ua.UaError as none:
        raise DriverError(f"The server offers no {access.security} with SignAndEncrypt.") from none
    except ValueError as error:
        raise DriverError(f"The server's certificate cannot be read: {error}") from error
    return certificate


def _policy(access: Access) -> Any:
    return getattr(security_policies, f"SecurityPolicy{access.security}")


async def _leave(client: Client) -> None:
    """Give session and channel back, so that the server need not wait for them to end."""
    await client.uaclient.session.close_session(True)
    await client.close_secure_channel()


def _cut(client: Client | None) -> None:
    """Not `disconnect`: its transport would wait until a peer that reads nothing has read all."""
    protocol = client.uaclient.protocol if client else None
    if protocol is not None and protocol.transport is not None:
        protocol.transport.abort()


async def _by_path(
    client: Client, shown: dict[tuple[str, str], str], index: int
) -> dict[tuple[str, str], ua.NodeId]:
    paths = []
    for text in shown.values():
        elements = []
        for part in text.split("/"):
            number, has_index, name = part.partition(":")
            own = (int(number), name) if has_index and number.isdigit() else (index, part)
            elements.append(
                ua.RelativePathElement(
                    ReferenceTypeId=node_id(ua.ObjectIds.HierarchicalReferences),
                    IncludeSubtypes=True,  # type: ignore[arg-type]
                    IsInverse=False,  # type: ignore[arg-type]
                    TargetName=ua.QualifiedName(own[1], own[0]),
                )
            )
        objects = node_id(ua.ObjectIds.ObjectsFolder)
        paths.append(ua.BrowsePath(StartingNode=objects, RelativePath=ua.RelativePath(Elements=elements)))
    found = await client.uaclient.translate_browsepaths_to_nodeids(paths)
    unclear = [text for text, result in zip(shown.values(), found, strict=True) if len(result.Targets) != 1]
    if unclear:
        raise DriverError(f"These paths do not lead to one variable each: {_some(unclear)}.")
    return {key: result.Targets[0].TargetId for key, result in zip(shown, found, strict=True)}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _sentence(error: Exception, within_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {within_s:g} s"
    if isinstance(error, ua.UaStatusCodeError):
        return f"{ua.StatusCode(error.code).name}: {ua.StatusCode(error.code).doc}"
    return str(error) or type(error).__name__
