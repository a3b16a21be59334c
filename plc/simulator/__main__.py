import argparse
import sys

from plc.simulator.command import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m plc.simulator", description="A simulated controller.")
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
