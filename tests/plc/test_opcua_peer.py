"""OPC UA by others (node-opcua, MIT) at the other end of the line, so that not only we understand ourselves."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from plc.drivers.driver import DriverError
from plc.drivers.opcua import OpcUaDriver, server_certificate
from plc.drivers.opcua_access import Access
from plc.drivers.opcua_keys import KeyFolder
from plc.handshake import Disposition, Result, Source
from plc.simulator.opcua import PASSWORD, USER, OpcUaSimulator

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(os.environ.get("PEERS_DIR", ROOT / "var" / "peers"))
MODULES = PEERS / "node_modules"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not (MODULES / "node-opcua-server").is_dir(),
    reason="NOT RUN: no independent OPC UA peer. npm install --prefix var/peers node-opcua-client@2 node-opcua-server@2",
)


@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes256_Sha256_RsaPss"])
def test_node_opcua_hands_over_a_disposition_signed_and_encrypted(policy):
    with OpcUaSimulator(gate_s=60) as simulator:
        simulator.pulse("S01", 1, "N-1")
        done = subprocess.run(
            [
                NODE,
                ROOT / "tests" / "plc" / "opcua_peer.js",
                f"opc.tcp://127.0.0.1:{simulator.port}",
                policy,
                "1",
                USER,
                PASSWORD,
            ],
            env={**os.environ, "NODE_PATH": str(MODULES)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        assert said["payload"] == ["Good"] * 10
        assert said["sequence"] == ["Good"]
        assert said["forbidden"] == ["BadNotWritable"]
        assert said["answer"] == [1, 1, "N-1"]
        assert said["browsed"] >= 42
        applied = [line for line in simulator.journal.lines if line["event"] == "disposition"]
        assert [(line["seq"], line["part_id"], line["code"]) for line in applied] == [(1, "N-1", 1)]


@pytest.fixture(scope="module")
def foreign_plc(tmp_path_factory):
    """Port of a server of theirs."""
    folder = tmp_path_factory.mktemp("foreign")
    process = subprocess.Popen(
        [NODE, ROOT / "tests" / "plc" / "opcua_peer_server.js", folder, USER, PASSWORD],
        env={**os.environ, "NODE_PATH": str(MODULES)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = next((line for line in process.stdout if line.startswith("PORT")), "")
        assert said, "node-opcua did not start"
        yield int(said.split()[1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("security", ["Basic256Sha256", "Aes256Sha256RsaPss"])
@pytest.mark.parametrize("path", ["", "VIS/VIS_{mailbox}_{name}"])
def test_our_driver_hands_over_a_disposition_to_a_server_of_theirs(foreign_plc, tmp_path, security, path):
    access = Access(security=security, path=path, timeout_s=2)
    keys = KeyFolder(tmp_path)
    keys.store_password(USER, PASSWORD)
    keys.trust(server_certificate("127.0.0.1", foreign_plc, access))
    driver = OpcUaDriver("127.0.0.1", foreign_plc, ("S01", "H01"), access=access, keys=tmp_path)
    driver.open()
    seq = driver.read_status(("S01", "H01"))["S01"].ack_seq + 1
    row = Disposition(
        seq=seq,
        part_id=f"P-{seq}",
        trig_seq=seq,
        result=Result.PASS,
        source=Source.MODEL,
        final=True,
        confidence=0.25,
    )

    driver.write_payload("S01", row.payload(), seq)
    driver._renew_at = time.monotonic()  # and their server takes our renewed channel
    driver.write_seq("S01", seq, seq)
    until = time.monotonic() + 3
    while (status := driver.read_status(("S01",))["S01"]).ack_seq != seq and time.monotonic() < until:
        time.sleep(0.01)
    driver.close()

    assert (status.ack_seq, status.ack_code, status.ack_part_id) == (seq, 1, f"P-{seq}")


def test_a_server_of_theirs_is_not_trusted_unasked_and_refuses_a_wrong_password(foreign_plc, tmp_path):
    access = Access(timeout_s=2)
    keys = KeyFolder(tmp_path)
    keys.store_password(USER, "wrong")
    with pytest.raises(DriverError, match="not trusted"):
        OpcUaDriver("127.0.0.1", foreign_plc, ("S01",), access=access, keys=tmp_path).open()
    keys.trust(server_certificate("127.0.0.1", foreign_plc, access))
    with pytest.raises(DriverError, match="BadUserAccessDenied"):
        OpcUaDriver("127.0.0.1", foreign_plc, ("S01",), access=access, keys=tmp_path).open()
