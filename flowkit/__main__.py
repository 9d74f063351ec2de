"""``python -m flowkit``: the same as the command ``flowkit``."""

import os
import sys
from pathlib import Path

# Python searches the current folder for modules first. Anyone may have written the files in it, so it is removed, unless
# flowkit itself is there.
if sys.path[0] in ("", os.getcwd()) and Path(sys.path[0]).resolve() != Path(__file__).resolve().parents[1]:
    del sys.path[0]

from flowkit.cli import main

sys.exit(main())
