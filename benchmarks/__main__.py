"""Run the benchmarks one after another, each in its own process.

    python -m benchmarks [NAME ...] [--quick]

`--quick` measures on a small part, to see that everything runs; its figures are no claim.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys

from benchmarks._harness import pinned

NAMES = (
    "cold_start",
    "memory",
    "search_latency",
    "identify_latency",
    "index_throughput",
    "verify_rows",
    "serve_start",
    "serve_load",
    "second_look",
    "accuracy",
    "promise",
    "names_more",
    "logos",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}; none means all")
    parser.add_argument("--quick", action="store_true", help="a small part; no claim")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(NAMES)}")
    failed = []
    for name in asked.names or NAMES:
        if importlib.util.find_spec(f"benchmarks.{name}") is None:
            failed.append(name)
            print(f"{name}: not in this checkout", file=sys.stderr)
            continue
        print(f"\n## {name}\n", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *["--quick"] * asked.quick]
        if subprocess.run(command, env=pinned(), check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed) > 0


if __name__ == "__main__":
    sys.exit(main())
