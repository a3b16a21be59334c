"""The asyncua server behind the simulated PLC: its users, its variables, and what may go wrong in an answer."""

import asyncio
import hmac
import logging
import random
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AttributeService, AttributeValue, NodeData
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.uaprocessor import UaProcessor
from asyncua.server.user_managers import UserManager

from plc.drivers.opcua_keys import OwnKeys
from plc.simulator.faults import Fault, Faults

logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)  # requests with passwords at level DEBUG

REPLY_FAULTS = (
    Fault.DROP_AFTER_WRITE,
    Fault.LOST_REPLY,
    Fault.STALL,
    Fault.PARTIAL_REPLY,
    Fault.WRITE_REJECTED,
    Fault.SECOND_WRITE_REJECTED,
    Fault.SLOW_REPLY,
    Fault.DOUBLE_REPLY,
    Fault.GARBAGE,
)
REJECTIONS = (Fault.WRITE_REJECTED, Fault.SECOND_WRITE_REJECTED)
NEIGHBOUR_URI = "urn:example:another-machine"


def _node_id(identifier: Any, index: Any = 0) -> ua.NodeId:
    return ua.NodeId(identifier, index)


READ = _node_id(ua.ObjectIds.ReadRequest_Encoding_DefaultBinary)
WRITE = _node_id(ua.ObjectIds.WriteRequest_Encoding_DefaultBinary)
CREATE_SESSION = _node_id(ua.ObjectIds.CreateSessionRequest_Encoding_DefaultBinary)


class VariableRefusedError(Exception):
    """A variable that was not written, with the status code that says why."""

    def __init__(self, code: int) -> None:
        super().__init__(ua.StatusCode(ua.UInt32(code)).name)
        self.code = code


class Variable(Protocol):
    """What the server shows of one variable."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> ua.VariantType: ...
    @property
    def is_writable(self) -> bool: ...


class Memory(Protocol):
    """What the server needs of the controller that it belongs to."""

    faults: Faults
    strict: bool

    def read(self, name: str) -> Any: ...
    def write(self, name: str, value: Any) -> None: ...


class TagServer:
    """One listening server; every method belongs to the thread of its event loop."""

    def __init__(self, memory: Memory, *, application_uri: str, namespace_uri: str) -> None:
        self.is_open = False  # True once the memory is loaded
        self.port = 0
        self._memory = memory
        self._application_uri = application_uri
        self._namespace_uri = namespace_uri
        self._variables: list[Variable] = []
        self._moves = 0

    @property
    def sessions(self) -> int:
        return len(self._internal._external_sessions)

    async def listen(self, host: str, port: int, keys: OwnKeys, variables: Sequence[Variable]) -> None:
        """Raises OSError if the port is taken."""
        self._variables = list(variables)
        self._internal = StandardServer(user_manager=OneUser(allows_anonymous=not self._memory.strict))
        self._internal.disabled_clock = True  # its clock would hold up the end for a second
        self._internal.allow_remote_admin = False  # else "admin" is one, whatever the password
        server = Server(iserver=self._internal)
        server._application_uri = self._application_uri
        server.name = "Simulated PLC"
        await server.init()
        server.set_endpoint(f"opc.tcp://{host}:{port}")
        await server.load_certificate(keys.certificate, "der")
        await server.load_private_key(keys.key, None, "der")
        policies = [
            ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
            ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
        ]
        tokens: list[type] = [ua.UserNameIdentityToken]
        if not self._memory.strict:
            policies.append(ua.SecurityPolicyType.NoSecurity)
            tokens.append(ua.AnonymousIdentityToken)
        server.set_security_policy(policies)
        server.set_identity_tokens(tokens)
        self._server = server
        self._attributes = self._internal.attribute_service = TagAttributes(
            self._internal.aspace, self._memory
        )
        await server.register_namespace(NEIGHBOUR_URI)
        await self._show(await server.register_namespace(self._namespace_uri))
        await server._setup_server_nodes()
        await self._internal.start()
        self._binary = FaultyServer(self._internal, host, port, server.limits)
        self._binary.tag_server = self
        self._binary.set_policies(server._policies)
        try:
            await self._binary.start()
        except OSError:
            await self._internal.stop()
            raise
        self.port = self._binary.port

    async def close(self) -> None:
        self.is_open = False
        self.drop_clients()
        await self._binary.stop()
        await self._internal.stop()

    def drop_clients(self) -> None:
        for transport in list(self._internal.asyncio_transports):
            transport.abort()

    async def move_namespace(self) -> None:
        """What a download may do: another project in front of ours, so that our variables have another index."""
        self._moves += 1
        uris = list(await self._server.get_namespace_array())
        index = uris.index(self._namespace_uri)
        uris.insert(index, f"{NEIGHBOUR_URI}-{self._moves}")
        await self._server.nodes.namespace_array.write_value(uris)
        self._hide()
        await self._show(index + 1)

    def _hide(self) -> None:
        """By hand: the library looks through the whole address space for each variable."""
        nodes = self._internal.aspace._nodes
        for node_id in (*self._attributes.names, self._folder.nodeid):
            del nodes[node_id]
        objects = nodes[self._server.nodes.objects.nodeid]
        objects.references = [ref for ref in objects.references if ref.NodeId != self._folder.nodeid]

    async def _show(self, index: int) -> None:
        self._attributes.names.clear()
        objects = self._server.nodes.objects
        self._folder = await objects.add_object(_node_id("VIS", index), ua.QualifiedName("VIS", index))
        for variable in self._variables:
            node_id = _node_id(variable.name, index)
            name = ua.QualifiedName(variable.name, index)
            empty = ua.Variant(self._memory.read(variable.name), variable.kind)
            node = await self._folder.add_variable(node_id, name, empty)
            if variable.is_writable:
                await node.set_writable()
            self._attributes.show(node_id, variable)


class OneUser(UserManager):
    """The user of the simulated PLC; the library's own manager lets in any name with any password."""

    def __init__(self, *, allows_anonymous: bool) -> None:
        self._allows_anonymous = allows_anonymous

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        from plc.simulator.opcua import PASSWORD, USER  # that file imports this one

        if username is None:
            return User(role=UserRole.User) if self._allows_anonymous else None
        is_right = hmac.compare_digest((password or "").encode(), PASSWORD.encode()) and username == USER
        return User(role=UserRole.User, name=username) if is_right else None


class TagAttributes(AttributeService):
    """Reads and writes go to the controller's memory, variable by variable; the rest is the library's."""

    def __init__(self, aspace: Any, memory: Memory) -> None:
        super().__init__(aspace)
        self.names: dict[ua.NodeId, Variable] = {}
        self.rejects_after: int | None = None  # writes of the present request that still go through
        self._memory = memory

    def show(self, node_id: ua.NodeId, variable: Variable) -> None:
        self.names[node_id] = variable

    def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        values = super().read(params)
        for index, asked in enumerate(params.NodesToRead):
            variable = self.names.get(asked.NodeId)
            if variable is not None and asked.AttributeId == ua.AttributeIds.Value:
                values[index] = ua.DataValue(ua.Variant(self._memory.read(variable.name), variable.kind))
        return values

    async def write(self, params: ua.WriteParameters, user: User | None = None) -> list[ua.StatusCode]:
        codes = []
        for number, asked in enumerate(params.NodesToWrite):
            variable = self.names.get(asked.NodeId)
            if variable is None or asked.AttributeId != ua.AttributeIds.Value:
                single = ua.WriteParameters(NodesToWrite=[asked])
                codes += await super().write(single, user or User(role=UserRole.Admin))
                continue
            try:
                self._write(variable, asked.Value, number)
                codes.append(ua.StatusCode())
            except VariableRefusedError as refusal:
                codes.append(ua.StatusCode(ua.UInt32(refusal.code)))
        return codes

    def _write(self, variable: Variable, value: ua.DataValue, number: int) -> None:
        if self.rejects_after is not None and number >= self.rejects_after:
            raise VariableRefusedError(ua.StatusCodes.BadDeviceFailure)
        if not variable.is_writable:
            raise VariableRefusedError(ua.StatusCodes.BadNotWritable)
        if self._memory.strict and (value.SourceTimestamp is not None or value.ServerTimestamp is not None):
            raise VariableRefusedError(ua.StatusCodes.BadWriteNotSupported)
        if value.Value is None or value.Value.VariantType != variable.kind or value.Value.is_array:
            raise VariableRefusedError(ua.StatusCodes.BadTypeMismatch)
        self._memory.write(variable.name, value.Value.Value)


class FaultyProcessor(UaProcessor):
    """One client's requests; an armed fault changes what becomes of the next one."""

    tag_server: TagServer

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._held: list[bytes] | None = None

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        faults = self.tag_server._memory.faults
        if typeid == CREATE_SESSION and faults.take(Fault.NO_SESSION):
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        taken = faults.take(*REPLY_FAULTS, is_write=typeid == WRITE) if typeid in (READ, WRITE) else None
        if taken is None:
            return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
        kind, seconds = taken
        # In a task of its own: what stalls is executed later even if the client has gone by then.
        work = asyncio.ensure_future(self._spoilt(kind, seconds, (typeid, requesthdr, seqhdr, body)))
        return await asyncio.shield(work)

    async def _spoilt(self, kind: Fault, seconds: float, request: tuple[Any, ...]) -> bool:
        attributes = self.tag_server._attributes
        if kind is Fault.STALL:
            await asyncio.sleep(seconds)
        if kind in REJECTIONS:
            attributes.rejects_after = 0 if kind is Fault.WRITE_REJECTED else 1
        self._held = []
        try:
            await super()._process_message(*request)
            reply = b"".join(self._held)
        finally:
            attributes.rejects_after = None
            self._held = None
        if kind is Fault.SLOW_REPLY:
            await asyncio.sleep(seconds)
        return self._sent(kind, reply)

    def _sent(self, kind: Fault, reply: bytes) -> bool:
        """False ends the connection."""
        if kind is Fault.DROP_AFTER_WRITE:
            self._transport.abort()
            return False
        if kind is Fault.PARTIAL_REPLY:
            self._transport.write(reply[: len(reply) // 2])
            return False
        if kind is Fault.GARBAGE:
            self._transport.write(random.randbytes(len(reply)))  # noqa: S311 - noise
        elif kind is not Fault.LOST_REPLY:
            self._transport.write(reply * 2 if kind is Fault.DOUBLE_REPLY else reply)
        return True

    def send_response(
        self, requesthandle: Any, seqhdr: Any, response: Any, msgtype: Any = ua.MessageType.SecureMessage
    ) -> None:
        transport, held = self._transport, self._held
        if held is None:
            super().send_response(requesthandle, seqhdr, response, msgtype)
            return
        self._transport = _Catcher(held)
        try:
            super().send_response(requesthandle, seqhdr, response, msgtype)
        finally:
            self._transport = transport


class _Catcher:
    """Takes the bytes that would have gone out."""

    def __init__(self, held: list[bytes]) -> None:
        self.write = held.append


class FaultyProtocol(OPCUAProtocol):
    tag_server: TagServer

    def connection_made(self, transport: Any) -> None:
        if not self.tag_server.is_open:
            transport.abort()
            return
        super().connection_made(transport)
        if self.transport is not None:
            self.processor = FaultyProcessor(self.iserver, self.transport, self.limits)
            self.processor.tag_server = self.tag_server
            self.processor.set_policies(self.policies)


class FaultyServer(BinaryServer):
    tag_server: TagServer

    def _make_protocol(self) -> OPCUAProtocol:
        protocol = FaultyProtocol(self.iserver, self._policies, self.clients, self.closing_tasks, self.limits)
        protocol.tag_server = self.tag_server
        return protocol


class StandardServer(InternalServer):
    """Fills the standard address space once a process: it takes more than a second, and a test starts many servers."""

    _standard: ClassVar[dict[ua.NodeId, NodeData]] = {}

    async def load_standard_address_space(self, shelf_file: Any = None) -> None:
        if not self._standard:
            await super().load_standard_address_space()
            self._standard.update(_copied(self.aspace._nodes))
            return
        self.aspace._nodes = _copied(self._standard)


def _copied(nodes: dict[ua.NodeId, NodeData]) -> dict[ua.NodeId, NodeData]:
    copies = {}
    for node_id, node in nodes.items():
        copy = copies[node_id] = NodeData(node_id)
        copy.attributes = {
            name: AttributeValue(held.value) for name, held in node.attributes.items() if held.value
        }
        copy.references = list(node.references)
        copy.call = node.call
    return copies
