"""``python -m ca.ceremony STEP --config FILE``."""

import sys

from ca.ceremony.steps import main

sys.exit(main())
