#!/usr/bin/env python3
"""Exit 0 if a process here may read the memory of a sibling (process_vm_readv), 1 if not.

Open MPI copies large messages between ranks of one host that way (btl vader, mechanism "cma"). Containers often
forbid it (seccomp, no CAP_SYS_PTRACE); Open MPI then prints an error for every message instead of falling back, so
tutti-run asks first. The two children stand as two ranks do: siblings, of which the read one has allowed it by prctl.
"""
import ctypes
import os
import signal
import sys

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)


class Span(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def main() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    source = ctypes.create_string_buffer(b"neighbour")  # at the same address in both children
    target = ctypes.create_string_buffer(len(source))
    ready, allowed = os.pipe()
    read_one = os.fork()
    if read_one == 0:
        libc.prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
        os.write(allowed, b".")
        signal.pause()
        os._exit(0)
    os.read(ready, 1)
    reader = os.fork()
    if reader == 0:
        local = Span(ctypes.addressof(target), len(target))
        remote = Span(ctypes.addressof(source), len(source))
        libc.process_vm_readv.restype = ctypes.c_ssize_t
        count = libc.process_vm_readv(read_one, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        os._exit(0 if count == len(source) and target.raw == source.raw else 1)
    status = os.waitpid(reader, 0)[1]
    os.kill(read_one, signal.SIGKILL)
    os.waitpid(read_one, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
