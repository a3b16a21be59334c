"""`script/demo`: one command, a whole line. See docs/architecture.md for what it starts and why."""

import os
import sys
import time
import webbrowser

from config.demo import options as demo_options
from config.demo.options import Options
from config.demo.supervisor import Supervisor
from config.demo.valkey import embedded_valkey
from config.demo.watch import CannotStart


def main() -> int:
    began_at = time.monotonic()
    try:
        options = demo_options.read()
        demo_options.remember_source(options.data_dir, options.images)
        os.environ["DATA_DIR"] = str(options.data_dir)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting torch threads sleep, they do not spin
        return run(options, began_at)
    except (CannotStart, demo_options.OptionError) as problem:
        print(f"script/demo: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("Everything is stopped. The data stays in the data folder; the next start goes on with it.")
        return 130 if options.exits_when_done else 0


def run(options: Options, began_at: float) -> int:
    valkey = embedded_valkey(options.data_dir)
    with Supervisor(
        data_dir=options.data_dir, processes=[valkey.process()] if valkey else [], say=say
    ) as supervisor:
        # Settings read the broker's address at import, so Django may wake up only now.
        import django

        django.setup()
        from config.demo.conductor import Conductor

        conductor = Conductor(options, supervisor, say)
        conductor.start_line()
        say(f"The line runs, {time.monotonic() - began_at:.1f} s after the start.")
        if options.opens_browser:
            webbrowser.open(conductor.address)
        return conductor.finish() if options.exits_when_done else conductor.watch_for_ever()


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
