"""An OPC UA client by others (node-opcua, MIT) against our simulated PLC, so that not only we understand ourselves."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from plc.simulator.opcua import PASSWORD, USER, OpcUaSimulator

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(os.environ.get("PEERS_DIR", ROOT / "var" / "peers"))
MODULES = PEERS / "node_modules"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not (MODULES / "node-opcua-client").is_dir(),
    reason="NOT RUN: no independent OPC UA client. npm install --prefix var/peers node-opcua-client@2",
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
