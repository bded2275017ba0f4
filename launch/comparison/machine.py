"""The machine of the figures: processor, kernel, versions, cores, and the FMA peak."""
import json
import os
import pathlib
import platform
import subprocess

import processes


def physical_cores():
    """One CPU number for each physical core of this process's affinity mask."""
    found = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        topology = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            key = tuple((topology / name).read_text().strip() for name in ("physical_package_id", "core_id"))
        except OSError:
            key = cpu
        found.setdefault(key, cpu)
    return list(found.values())


def output_of(*command):
    """Standard output of a command, or "" if it fails."""
    try:
        return subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, check=True,
            env=processes.clean_environment()).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def describe():
    """Processor, cores, memory and kernel of this machine."""
    facts = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": facts.get("model name") or platform.machine(), "kernel": platform.release(),
        "physical_cores": len(physical_cores()), "memory_bytes": pages}


def versions(root, tutti, peer_python, packages):
    """Versions of both programs and of their dependencies."""
    commit = output_of("git", "-C", root, "rev-parse", "--short=12", "HEAD")
    if not tutti.resolve().is_relative_to(root):
        commit = f"unknown (built elsewhere: {tutti})"
    elif output_of("git", "-C", root, "status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    probe = ("import importlib.metadata as m, json, platform, sys\n"
             "print(json.dumps({'python': platform.python_version()} | {p: m.version(p) for p in sys.argv[1:]}))")
    peer = output_of(peer_python, "-c", probe, *packages)
    return {
        "tutti": output_of(tutti, "--version"), "commit": commit,
        "open_mpi": (output_of("mpirun", "--version").splitlines() or [""])[0], "peer": json.loads(peer or "{}")}


def doctor(tutti):
    """The output of `tutti doctor --json`."""
    return json.loads(output_of(tutti, "doctor", "--json", "--threads", "1") or "{}")


def fma_peak(tutti, cores):
    """GFLOP/s of fused multiply-adds on all of `cores` together, by `tutti bench kernels`; None without it."""
    lines = output_of(  # few tokens: its kernels are not of interest here
        "taskset", "-c", ",".join(map(str, cores)), tutti, "bench", "kernels", "--json", "--threads", len(cores),
        "--tokens", 64, "--repetitions", 5)
    results = (json.loads(line) for line in lines.splitlines() if line.startswith("{"))
    return next((float(found["value"]) for found in results if found.get("name") == "fma_peak"), None)
