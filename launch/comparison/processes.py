"""Runs one process at a time and takes its measures: output lines with their moment, wall time, peak memory.

Peak memory is ru_maxrss of the finished tree: the largest resident set that any one of its processes reached, which
is the largest rank. All moments are CLOCK_MONOTONIC, which processes of one machine share.
"""
import os
import signal
import subprocess
import threading
import time

# Settings of libraries and launchers in the caller's environment, which would reach one program and not the other.
FOREIGN = ("OMPI_", "PMIX_", "PMI_", "SLURM_", "OMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "TORCH", "ATEN_", "DNNL_",
           "ONEDNN_", "TUTTI_", "PYTHON", "RAYON_", "LD_PRELOAD", "MALLOC_", "TOKENIZERS_", "HF_",
           "TRANSFORMERS_", "ACCELERATE_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_")


class Failed(Exception):
    """A process that ended with an error, or took too long."""


class Finished:
    """A finished process: `lines` are (moment, text) of standard output."""

    def __init__(self, began, ended, peak_bytes, lines):
        self.began = began
        self.seconds = ended - began
        self.peak_bytes = peak_bytes
        self.lines = lines


def clean_environment(**added):
    """This process's environment without variables that affect only one of the programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {name: str(value) for name, value in added.items()}


def run(command, environment, log, limit=1800):
    """Runs `command` to its end; standard error goes to the file `log`.

    Throws Failed with the last lines of the log for an exit code other than 0, or after `limit` seconds.
    """
    lines = []
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w+", encoding="utf-8", errors="replace") as errors:
        began = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors, text=True, errors="replace", start_new_session=True)

        def read():
            for line in process.stdout:
                lines.append((time.monotonic(), line.rstrip("\n")))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        late = threading.Event()

        def give_up():
            late.set()
            stop(process)

        timer = threading.Timer(limit, give_up)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # an interrupt from the keyboard: the process is in a session of its own
            stop(process)
            os.waitpid(process.pid, 0)
            raise
        finally:
            timer.cancel()
        ended = time.monotonic()
        process.returncode = os.waitstatus_to_exitcode(status)
        reader.join(timeout=10)
        if late.is_set():
            raise Failed(f"took more than {limit} seconds ({log})")
        if process.returncode != 0:
            errors.seek(0)
            said = [line for line in errors.read().splitlines() if line.strip()]
            raise Failed(f"ended with code {process.returncode}: {' | '.join(said[-3:]) or 'no message'} ({log})")
    return Finished(began, ended, usage.ru_maxrss * 1024, lines)


def stop(process):
    """Terminates a process, and its session's processes after ten seconds; launchers forward the signal."""
    def send(number, group):
        if process.returncode is None:
            try:
                (os.killpg if group else os.kill)(process.pid, number)
            except ProcessLookupError:
                pass

    send(signal.SIGTERM, group=False)
    insist = threading.Timer(10, send, (signal.SIGKILL, True))
    insist.daemon = True
    insist.start()
