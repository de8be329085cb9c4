"""``python -m sandbox --config FILE``. One thread and no event loop: the process forks, and a fork takes no thread along."""

import sys

from sandbox.app import main

if __name__ == "__main__":
    sys.exit(main())
