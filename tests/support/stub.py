"""Stands for a service in the eyes of whoever starts it: ``python -S -E stub.py SOCKET NAME ARGUMENT …`` (see ``nursery.py``)."""

import os
import signal
import socket
import sys

nursery = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
nursery.connect(sys.argv[1])
descriptors = [0, 1, 2]
if "--channel" in sys.argv:
    descriptors.append(int(sys.argv[sys.argv.index("--channel") + 1]))
socket.send_fds(nursery, [os.fsencode("\0".join(sys.argv[2:]))], descriptors)  # any name of a file
for descriptor in descriptors:
    os.close(descriptor)  # whoever waits for their end waits for the service
pid = int(nursery.recv(64) or 0)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda which, _frame: os.kill(pid, which))
told = nursery.recv(64)
status = int(told) if told else 1 << 8
if os.WIFSIGNALED(status):
    os.kill(os.getpid(), os.WTERMSIG(status))
os._exit(os.waitstatus_to_exitcode(status))
