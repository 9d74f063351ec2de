"""``python -m flowkit``: the same as the command ``flowkit``."""

import os
import sys
from pathlib import Path

# Python puts the current folder first among those that modules are looked for in. It may be anybody's; only where flowkit itself
# lies there is it meant.
if sys.path[0] in ("", os.getcwd()) and Path(sys.path[0]).resolve() != Path(__file__).resolve().parents[1]:
    del sys.path[0]

from flowkit.cli import main

sys.exit(main())
