"""What people do with a running office from the command line: decide, act, seal, verify, extend. Without the terminal, which is ``cli``."""
