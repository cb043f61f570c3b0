"""A whole node that dies at a step: `python -m tests.faults.crashing_node NUMBER CALL [SERVICE …]`.

NUMBER is the step's place in STEPS; 0 for CALL runs the node as it is.
"""

from __future__ import annotations

import sys

from tests.faults.steps import STEPS, crash_at
from tests.service.running import main

if __name__ == "__main__":
    number, call, *services = sys.argv[1:]
    if int(call):
        crash_at(STEPS[int(number)], int(call))
    main(services)
