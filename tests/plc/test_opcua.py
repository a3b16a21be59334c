"""The hazards O1-O15 of asyncua 2.1.0 and of OPC UA servers, each against the rule that keeps it away.

Where it can be shown, the bare library first does the wrong thing here, so that the rule is seen to be needed.
"""

import asyncio
import logging
import socket
import stat
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.crypto.uacrypto import CertProperties

from plc.drivers.driver import DriverError, PlcDriver
from plc.drivers.opcua_access import NAMESPACE_URI
from plc.drivers.opcua_keys import KeyFolder, fingerprint, first_certificate, new_pem, time_problem
from plc.drivers.opcua_values import STATUS_NAMES
from plc.drivers.protocols import new_driver
from plc.handshake import Disposition, Result, Source
from plc.simulator.faults import Fault
from plc.simulator.opcua import PASSWORD, USER, OpcUaSimulator
from tests.plc.opcua_plant import BOTH, driver_of, opened, settle, trusting_keys

ROW = Disposition(seq=1, part_id="P-1", trig_seq=1, result=Result.HOLD, source=Source.MODEL, final=False)


@pytest.fixture(scope="module")
def running():
    with OpcUaSimulator(gate_s=60) as simulator:
        yield simulator


@pytest.fixture
def simulator(running):
    """The one simulator of this file, as new but for its boot counter."""
    running.faults.clear()
    running.fault(Fault.COUNTER_RESET)
    running.programs["S01"].parts.clear()
    running.journal.lines.clear()
    return running


@pytest.fixture(scope="module")
def keys(running, tmp_path_factory):
    return trusting_keys(tmp_path_factory.mktemp("keys"), running)


@pytest.fixture
def driver(simulator, keys):
    driver = opened(simulator, keys)
    yield driver
    driver.close()


def bare(simulator, keys, work, *, timeout=0.5):
    """The library as its documentation shows it, signed, encrypted and as our user; `work` is awaited with it."""

    async def run():
        own = KeyFolder(keys).own()
        client = Client(f"opc.tcp://127.0.0.1:{simulator.port}", timeout=timeout, watchdog_intervall=0.1)
        client.application_uri = "urn:secondlook:plc-gateway"
        client.set_user(USER)
        client.set_password(PASSWORD)
        await client.set_security(
            SecurityPolicyBasic256Sha256,
            CertProperties(own.certificate, "der"),
            CertProperties(own.key, "der"),
        )
        await client.connect()
        try:
            return await work(client)
        finally:
            await client.disconnect()

    return asyncio.run(run())


async def node_of(client, name):
    index = await client.get_namespace_index(NAMESPACE_URI)
    return client.get_node(ua.NodeId(name, index))


# The ordinary way


@pytest.mark.parametrize("security", ["Basic256Sha256", "Aes256Sha256RsaPss"])
def test_a_disposition_travels_to_the_program_and_its_answer_back(simulator, keys, security):
    simulator.pulse("S01", 1, "P-1")
    typed: PlcDriver = opened(simulator, keys, security=security)

    typed.write_payload("S01", ROW.payload(), 5)
    typed.write_seq("S01", 1, 5)
    settle(simulator)

    status = typed.read_status(BOTH)["S01"]
    assert (status.disp_seq, status.ack_seq, status.ack_code, status.ack_part_id) == (1, 1, 1, "P-1")
    assert (status.trig_seq, status.trig_part_id, status.hold_free, status.mode) == (1, "P-1", 19, 1)
    typed.close()


def test_every_member_of_the_structure_arrives_as_sent(simulator, driver):
    row = Disposition(
        seq=2**31 - 1,
        part_id="~" * 32,
        trig_seq=77,
        result=Result.REJECT,
        source=Source.CHANGED_VERDICT,
        final=True,
        reason=9,
        confidence=0.5,
        model_version=12,
    )

    driver.write_payload("H01", row.payload(), 1)

    assert simulator.tags.disposition("H01") == row.payload()


def test_a_browse_path_leads_to_the_same_variables(simulator, keys):
    driver = opened(simulator, keys, path="VIS/VIS_{mailbox}_{name}")

    driver.write_seq("S01", 7, 1)

    assert simulator.tags.number("VIS_S01_DispSeq") == 7
    driver.close()


def test_a_path_or_a_name_that_leads_nowhere_is_said_at_the_opening(simulator, keys):
    with pytest.raises(DriverError, match=r"lead to one variable each: Line/VIS_S01_AckSeq"):
        opened(simulator, keys, path="Line/VIS_{mailbox}_{name}")
    with pytest.raises(DriverError, match="no variable VIS_S01_Quittung"):
        opened(simulator, keys, names={"AckSeq": "Quittung"})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"security": "Basic128Rsa15"}, "security is"),
        ({"security": "None"}, "password is not sent over an open connection"),
        ({"node": "VIS_S01_{name}"}, "mailbox"),
        ({"node": "VIS_{mailbox}_{name}_{line}"}, "more than"),
        ({"timeout_s": 60}, "timeout_s"),
        ({"password": "secret"}, "password"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_the_gateway_finds_out(options, sentence):
    with pytest.raises(DriverError, match=sentence):
        new_driver("opcua", "127.0.0.1", 4840, BOTH, options)


# O1, O2: whom we trust


def test_o1_the_bare_library_tells_its_password_to_whoever_answers(simulator, keys):
    async def user(client):
        return client.uaclient.session.state.value

    assert bare(simulator, keys, user) == "activated"  # nobody was asked whether this server is the PLC


def test_o1_an_unknown_certificate_is_refused_with_its_fingerprint_and_kept(simulator, tmp_path):
    with pytest.raises(DriverError, match="not trusted") as refused:
        opened(simulator, tmp_path)

    certificate = simulator.own_keys.certificate
    assert fingerprint(certificate) in str(refused.value)
    assert "manage.py trust_opcua" in str(refused.value)
    assert (tmp_path / "refused" / f"{fingerprint(certificate)}.der").read_bytes() == certificate
    assert simulator.connections == 0


def test_o1_another_certificate_of_the_same_name_is_not_the_one_that_was_trusted(simulator, tmp_path):
    impostor = KeyFolder(
        tmp_path / "impostor", application_uri="urn:secondlook:simulated-plc", name="Simulated PLC"
    )
    KeyFolder(tmp_path).trust(impostor.own().certificate)

    with pytest.raises(DriverError, match="not trusted"):
        opened(simulator, tmp_path)


def test_o1_our_private_key_is_for_our_eyes_and_stays_the_same(tmp_path):
    folder = KeyFolder(tmp_path / "opcua")

    first, second = folder.own(), KeyFolder(tmp_path / "opcua").own()

    assert first == second
    assert stat.S_IMODE((tmp_path / "opcua" / "own.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.store_password("line", "secret").stat().st_mode) == 0o600
    assert (tmp_path / "opcua" / "own.der").read_bytes() == first.certificate


def test_o1_a_chain_counts_by_its_first_certificate(simulator):
    certificate = simulator.own_keys.certificate
    assert first_certificate(certificate + certificate) == certificate
    for broken in (b"", certificate[:-1], b"\x30\x03abc"):
        with pytest.raises(ValueError, match=r"certificate"):
            first_certificate(broken)


def test_o2_a_certificate_out_of_its_time_is_refused_and_the_clock_is_named(simulator):
    certificate = simulator.own_keys.certificate
    now = datetime.now(UTC)
    assert time_problem(certificate, now) == ""
    assert time_problem(certificate, now - timedelta(days=25)) == ""  # a PLC whose clock is a little behind
    assert "is a clock wrong?" in time_problem(certificate, now - timedelta(days=40))
    assert "ended on" in time_problem(certificate, now + timedelta(days=11 * 365))


def test_o2_the_bare_library_goes_on_with_an_ended_certificate_and_we_do_not(simulator, keys, tmp_path):
    trusting_keys(tmp_path, simulator)
    ended = datetime.now(UTC) - timedelta(days=400)
    pem = new_pem("urn:secondlook:plc-gateway", "Second Look", begins_at=ended, lasts=timedelta(days=1))
    (tmp_path / "own.pem").write_bytes(pem)

    async def read(client):
        return await (await node_of(client, "VIS_S01_Mode")).read_value()

    assert bare(simulator, tmp_path, read) == 1
    with pytest.raises(DriverError, match="Our own certificate ended on"):
        opened(simulator, tmp_path)


# O3, O5: what a value is


def test_o3_the_bare_library_takes_a_number_for_an_int64_and_we_send_what_the_plc_has(
    simulator, keys, driver
):
    async def write(client):
        await (await node_of(client, "VIS_S01_DispSeq")).write_value(ua.DataValue(ua.Variant(4)))

    with pytest.raises(ua.uaerrors.BadTypeMismatch):
        bare(simulator, keys, write)

    driver.write_seq("S01", 4, 1)
    assert simulator.tags.number("VIS_S01_DispSeq") == 4


def test_o3_a_variable_of_another_type_is_said_at_the_opening(simulator, keys):
    with pytest.raises(DriverError, match="VIS_S01_AckPartId is String in the PLC; it must be Int32"):
        opened(simulator, keys, names={"DispSeq": "AckPartId"})


def test_o5_the_bare_library_adds_a_time_stamp_that_an_s7_refuses(simulator, keys):
    async def write(client):
        await (await node_of(client, "VIS_S01_DispSeq")).write_value(4, ua.VariantType.Int32)

    with pytest.raises(ua.uaerrors.BadWriteNotSupported):
        bare(simulator, keys, write)


# O4: what a server answers


def test_o4_the_bare_library_returns_a_refused_write_like_a_good_one(simulator, keys):
    simulator.fault(Fault.WRITE_REJECTED)

    async def write(client):
        node = await node_of(client, "VIS_S01_DispSeq")
        value = ua.DataValue(ua.Variant(4, ua.VariantType.Int32))
        item = ua.WriteValue(NodeId=node.nodeid, AttributeId=ua.AttributeIds.Value, Value=value)
        return await client.uaclient.write(ua.WriteParameters(NodesToWrite=[item]))

    (code,) = bare(simulator, keys, write)  # no exception
    assert code.name == "BadDeviceFailure"


@pytest.mark.parametrize(
    ("fault", "named", "stored"),
    [(Fault.WRITE_REJECTED, "Disp.SeqA", 0), (Fault.SECOND_WRITE_REJECTED, "Disp.PartId", 1)],
)
def test_o4_one_refused_variable_fails_the_whole_write(simulator, driver, fault, named, stored):
    simulator.fault(fault)

    with pytest.raises(DriverError, match=f"VIS_S01_{named}: BadDeviceFailure"):
        driver.write_payload("S01", ROW.payload(), 1)

    assert simulator.tags.disposition("S01")["SeqA"] == stored


@pytest.mark.parametrize("code", [ua.StatusCodes.BadNoCommunication, ua.StatusCodes.UncertainLastUsableValue])
def test_o4_a_reading_that_is_not_good_is_no_reading(simulator, driver, monkeypatch, code):
    driver.read_status(BOTH)
    attributes = simulator._served._attributes
    genuine = attributes.read

    def with_a_doubt(params):
        values = genuine(params)
        values[1] = ua.DataValue(values[1].Value, ua.StatusCode(code))
        return values

    monkeypatch.setattr(attributes, "read", with_a_doubt)
    with pytest.raises(DriverError, match=f"VIS_S01_AckCode: {ua.StatusCode(code).name}"):
        driver.read_status(BOTH)


# O6: nothing behind our back


def test_o6_an_idle_driver_asks_nothing_and_the_bare_library_does(simulator, keys, driver):
    asked = []
    attributes = simulator._served._attributes
    genuine = attributes.read

    def counting(params):
        asked.append(params)
        return genuine(params)

    attributes.read = counting
    try:
        time.sleep(0.3)
        assert asked == []

        async def idle(client):
            await asyncio.sleep(0.3)  # its watchdog reads, by default once a second

        bare(simulator, keys, idle)
        assert len(asked) >= 1
    finally:
        del attributes.read


def test_o6_the_channel_is_renewed_between_two_exchanges(simulator, driver):
    channel = driver._client.uaclient.protocol._connection
    before = channel.security_token.TokenId
    driver._renew_at = time.monotonic()

    driver.write_seq("S01", 3, 1)

    assert channel.security_token.TokenId != before
    assert simulator.tags.number("VIS_S01_DispSeq") == 3
    assert driver._renew_at - time.monotonic() > 100
    assert driver.read_status(BOTH)["S01"].disp_seq == 3


def test_o6_a_renewal_that_fails_is_a_failed_request_and_not_a_line_in_a_log(simulator, driver):
    driver._renew_at = time.monotonic()
    simulator.fault(Fault.DROP_ALL)

    with pytest.raises(DriverError):
        driver.write_seq("S01", 3, 1)
    with pytest.raises(DriverError, match="not open"):
        driver.write_seq("S01", 3, 1)


# O7: the end


def test_o7_closing_towards_a_silent_plc_takes_a_moment_and_the_bare_library_takes_its_time(
    simulator, keys, driver
):
    simulator.fault(Fault.STALL, seconds=1.0)
    with pytest.raises(DriverError, match=r"no answer within 0\.5 s"):
        driver.read_status(BOTH)
    began = time.monotonic()

    driver.close()
    driver.close()

    assert time.monotonic() - began < 0.9
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("opcua opc.tcp")]


def test_o7_a_server_that_accepts_and_says_nothing_is_given_up_in_time(tmp_path, simulator):
    trusting_keys(tmp_path, simulator)
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        simulator_port, simulator.port = simulator.port, dumb.getsockname()[1]
        try:
            began = time.monotonic()
            with pytest.raises(DriverError, match=f"127.0.0.1:{simulator.port}"):
                opened(simulator, tmp_path, timeout_s=0.2)
            assert time.monotonic() - began < 1.5
        finally:
            simulator.port = simulator_port


def test_o7_a_closed_driver_leaves_no_session_in_the_plc(simulator, keys):
    for _ in range(3):
        opened(simulator, keys).close()

    assert simulator.connections == 0


# O8, O9


def test_o8_a_session_asks_for_half_a_minute_and_not_for_an_hour(simulator, driver):
    (session,) = simulator._served._internal._external_sessions.values()

    assert session.session_timeout == 30.0


def test_o8_a_refused_session_is_an_error_with_its_reason(simulator, keys):
    simulator.fault(Fault.NO_SESSION)

    with pytest.raises(DriverError, match="BadTooManySessions"):
        opened(simulator, keys)


def test_o9_after_a_download_our_variables_are_found_under_their_new_index(simulator, keys, driver):
    before = driver._nodes["S01", "DispSeq"].NamespaceIndex
    simulator.fault(Fault.DOWNLOAD)
    with pytest.raises(DriverError):
        driver.write_seq("S01", 5, 1)

    again = opened(simulator, keys)
    again.write_seq("S01", 5, 1)

    assert again._nodes["S01", "DispSeq"].NamespaceIndex == before + 1
    assert simulator.tags.number("VIS_S01_DispSeq") == 5
    again.close()


def test_o9_a_server_without_our_namespace_names_those_it_has(simulator, keys):
    with pytest.raises(DriverError, match=r"no namespace 'urn:other', but .*another-machine"):
        opened(simulator, keys, namespace="urn:other")


# O10, O11: what was read


def test_o10_what_an_ack_vouches_for_is_read_again_however_the_server_orders_a_read(
    simulator, driver, monkeypatch
):
    simulator.pulse("S01", 1, "P-1")
    driver.read_status(BOTH)
    driver.write_payload("S01", ROW.payload(), 1)
    driver.write_seq("S01", 1, 1)
    settle(simulator)
    genuine, stale = simulator.read, {"VIS_S01_AckCode": 0, "VIS_S01_AckPartId": "P-0"}

    def older_once(name):
        return stale.pop(name) if name in stale else genuine(name)

    monkeypatch.setattr(simulator, "read", older_once)

    status = driver.read_status(("S01",))["S01"]

    assert stale == {}
    assert (status.ack_seq, status.ack_code, status.ack_part_id) == (1, 1, "P-1")


def test_o10_the_acknowledged_number_stands_first_in_the_request():
    assert next(iter(STATUS_NAMES)) == "ack_seq"


def test_o11_a_text_that_was_never_written_is_empty_and_a_flag_is_no_number(simulator, driver, monkeypatch):
    genuine = simulator.read
    monkeypatch.setattr(simulator, "read", lambda name: None if name.endswith("PartId") else genuine(name))
    assert driver.read_status(("S01",))["S01"].ack_part_id == ""

    variable = simulator._variables["VIS_S01_Mode"]
    monkeypatch.setitem(
        simulator._served._attributes.names,
        driver._nodes["S01", "Mode"],
        type(variable)("VIS_S01_Mode", ua.VariantType.Boolean, False, variable.tag),
    )
    with pytest.raises(DriverError, match="VIS_S01_Mode is no int: True"):
        driver.read_status(("S01",))


# O12: secrets


def test_o12_the_bare_library_writes_the_password_into_the_log_and_ours_stays_silent(simulator, keys, caplog):
    logger = logging.getLogger("asyncua")
    level = logger.level
    assert level > logging.CRITICAL

    with caplog.at_level(logging.DEBUG):
        opened(simulator, keys).close()
    assert PASSWORD not in caplog.text

    async def nothing(client):
        return None

    with caplog.at_level(logging.DEBUG, logger="asyncua"):
        bare(simulator, keys, nothing)
    assert PASSWORD in caplog.text
    assert logger.level == level


def test_o12_a_wrong_password_a_missing_one_and_an_anonymous_are_refused(simulator, tmp_path):
    trusting_keys(tmp_path, simulator)
    keys = KeyFolder(tmp_path)
    keys.store_password(USER, "wrong")
    with pytest.raises(DriverError, match="BadUserAccessDenied"):
        opened(simulator, tmp_path)
    with pytest.raises(DriverError, match="no password for 'somebody'"):
        opened(simulator, tmp_path, user="somebody")
    with pytest.raises(DriverError, match="BadIdentityTokenRejected"):
        opened(simulator, tmp_path, user="")
    keys.store_password("admin", "")
    with pytest.raises(DriverError, match="BadUserAccessDenied"):
        opened(simulator, tmp_path, user="admin")


def test_o12_an_open_connection_is_made_only_where_the_link_says_so(tmp_path):
    with OpcUaSimulator(gate_s=60, strict=False) as lenient:
        driver = opened(lenient, None, security="None", user="")
        driver.write_seq("S01", 2, 1)
        assert lenient.tags.number("VIS_S01_DispSeq") == 2
        driver.close()
        with pytest.raises(DriverError, match="not trusted"):
            opened(lenient, tmp_path)


def test_o12_a_plc_that_offers_no_encryption_is_not_spoken_to_openly(simulator, keys):
    with pytest.raises(DriverError, match="No connection"):
        opened(simulator, None, security="None", user="")


# O13, O14, O15


def test_o13_a_driver_belongs_to_the_thread_that_made_it(driver):
    raised = []

    def use():
        for call in (driver.open, lambda: driver.read_status(BOTH), lambda: driver.write_seq("S01", 1, 1)):
            try:
                call()
            except RuntimeError as error:
                raised.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()

    assert len(raised) == 3
    assert "O13" in raised[0]


def test_o13_a_loop_that_hangs_does_not_hold_its_owner(simulator, driver):
    driver._loop._loop.call_soon_threadsafe(time.sleep, 1.5)
    began = time.monotonic()

    with pytest.raises(DriverError, match="no answer"):
        driver.read_status(BOTH)
    driver.close()

    assert time.monotonic() - began < 1.3


def test_o14_a_payload_cut_in_the_middle_is_torn_for_the_program_and_the_number_was_not_sent(
    simulator, driver
):
    simulator.pulse("S01", 1, "P-1")
    simulator.fault(Fault.SECOND_WRITE_REJECTED)
    with pytest.raises(DriverError):
        driver.write_payload("S01", ROW.payload(), 1)
    time.sleep(0.03)

    assert simulator.tags.number("VIS_S01_DispSeq") == 0
    assert [line for line in simulator.journal.lines if line["event"] == "disposition"] == []


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.DROP_AFTER_WRITE])
def test_o15_a_write_that_was_executed_but_not_answered_may_be_repeated_under_its_number(
    simulator, keys, driver, fault
):
    simulator.pulse("S01", 1, "P-1")
    driver.write_payload("S01", ROW.payload(), 1)
    simulator.fault(fault)
    with pytest.raises(DriverError):
        driver.write_seq("S01", 1, 1)
    settle(simulator)

    again = opened(simulator, keys)
    again.write_payload("S01", ROW.payload(), 2)
    again.write_seq("S01", 1, 2)
    time.sleep(0.03)
    again.close()

    applied = [line for line in simulator.journal.lines if line["event"] == "disposition"]
    assert [line["seq"] for line in applied] == [1]


@pytest.mark.parametrize("fault", [Fault.PARTIAL_REPLY, Fault.GARBAGE, Fault.DROP_AFTER_WRITE])
def test_o15_a_spoilt_answer_ends_the_connection(simulator, driver, fault):
    simulator.fault(fault, writes_only=True)

    with pytest.raises(DriverError):
        driver.write_seq("S01", 9, 1)
    with pytest.raises(DriverError, match="not open"):
        driver.read_status(BOTH)


def test_o15_a_driver_is_used_once(simulator, keys, driver):
    driver.close()

    with pytest.raises(DriverError, match="used before"):
        driver.open()
    unopened = driver_of(simulator, keys)
    with pytest.raises(DriverError, match="not open"):
        unopened.read_status(BOTH)


@pytest.mark.parametrize("part_id", ["X" * 100, "Teil-ä", ""])
def test_a_part_id_the_plc_could_misread_never_leaves(simulator, driver, part_id):
    with pytest.raises(ValueError, match="part id"):
        driver.write_payload("S01", {**ROW.payload(), "PartId": part_id}, 1)

    assert simulator.tags.disposition("S01")["SeqA"] == 0
