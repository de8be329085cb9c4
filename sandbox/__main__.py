"""``python -m sandbox --config FILE``. One thread and no event loop: the process forks, and a fork takes no thread along."""

import sys

from sandbox.environment import keep_little

if __name__ == "__main__":
    keep_little()
    from sandbox.app import main  # behind it: the libraries take a second to load

    sys.exit(main())
