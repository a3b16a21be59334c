"""The simulator as a command: its options, one controller class a protocol, and its end by a signal."""

import argparse
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from plc.simulator.controller import Controller
from plc.simulator.modbus import ModbusSimulator
from plc.simulator.server import Simulator


def _opcua() -> type[Controller]:
    from plc.simulator.opcua import OpcUaSimulator  # a second of imports that no other protocol needs

    return OpcUaSimulator


# Each protocol with its registered port and its class, imported only when it is asked for: the libraries are large.
PROTOCOLS: dict[str, tuple[int, Callable[[], type[Controller]]]] = {
    "ethernet_ip": (44818, lambda: Simulator),
    "modbus": (502, lambda: ModbusSimulator),
    "opcua": (4840, _opcua),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m plc.simulator`, for whoever wraps it."""
    parser.add_argument("--protocol", choices=PROTOCOLS, default="ethernet_ip")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="left out, the protocol's registered port")
    parser.add_argument("--sensor-port", type=int, default=44819)
    parser.add_argument("--log", type=Path, help="append-only JSON lines: what the PLC did")
    parser.add_argument("--state", type=Path, help="retentive memory and boot counter")
    parser.add_argument(
        "--stations", default="S01:H01", help="automatic:late mailbox, comma between stations"
    )
    parser.add_argument("--hold-capacity", type=int, default=20)
    parser.add_argument("--gate-s", type=float, default=8.0, help="from the trigger to the gate")
    parser.add_argument("--auto-s", type=float, default=0.5, help="longest wait at the gate for a verdict")
    parser.add_argument("--lenient", action="store_true", help="let pass what a strict device refuses")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C. Must be called in the main thread."""
    registered_port, controller_class = PROTOCOLS[args.protocol]
    port = registered_port if args.port is None else args.port
    controller = controller_class()(
        host=args.host,
        port=port,
        sensor_port=args.sensor_port,
        log=args.log,
        state=args.state,
        stations=args.stations.split(","),
        hold_capacity=args.hold_capacity,
        gate_s=args.gate_s,
        auto_s=args.auto_s,
        strict=not args.lenient,
    )
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    try:
        controller.start()
    except OSError as error:
        print(f"The PLC simulator cannot open ports {port} and {args.sensor_port}: {error}", flush=True)
        return 1
    print(
        f"PLC simulator ({args.protocol}) on {args.host}:{controller.port}, sensor wire on {controller.sensor_port}",
        flush=True,
    )
    done.wait()
    controller.stop()
    return 0
