// What a machine offers, read from made-up /proc and /sys trees: hyper-threads, affinity, CPU quotas, memory limits.

import Foundation
import TestSupport
import Testing
import TuttiGround
import TuttiLaunch

@Suite struct MachineTests {
    @Test func hyperThreadsOfOneCoreCountOnce() throws {
        let machine = try MadeUpMachine(cpus: 4, cores: ["0:0", "0:1", "0:0", "0:1"]).read()
        #expect(machine.cores == 2 && machine.allCores == 2 && machine.onlineCPUs == 4)
        #expect(machine.cpus == [0, 1, 2, 3])
        #expect(machine.quota == nil && machine.usableCores == 2 && machine.freeMegabytes == 64_000)
    }

    @Test func coresOfTwoSocketsHaveTheSameNumbers() throws {
        let machine = try MadeUpMachine(cpus: 4, cores: ["0:0", "0:1", "1:0", "1:1"]).read()
        #expect(machine.cores == 4)
    }

    @Test func theAffinityMaskLimitsTheCores() throws {
        let cores = ["0:0", "0:1", "0:2", "0:3", "0:0", "0:1", "0:2", "0:3"]
        let made = try MadeUpMachine(cpus: 8, mask: "1,3-5", cores: cores)
        let machine = try made.read()
        #expect(machine.cpus == [1, 3, 4, 5])
        #expect(machine.cores == 3, "cores 1, 3, 0: CPU 5 is the second thread of core 1")
        #expect(machine.allCores == 4)
    }

    @Test func whereTheSystemDoesNotTellEachCPUIsACore() throws {
        #expect(try MadeUpMachine(cpus: 3).read().cores == 3)
    }

    @Test func theTightestQuotaOfVersion2Counts() throws {
        let made = try MadeUpMachine(cpus: 8, groups: ["0::/a/b"])
        try made.write("sys/fs/cgroup/a/cpu.max", "350000 100000\n")
        try made.write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
        #expect(try made.read().quota == 350)
        try made.write("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n")
        let machine = try made.read()
        #expect(machine.quota == 150 && machine.usableCores == 1)
        try made.write("sys/fs/cgroup/cpu.max", "25000 100000\n")
        #expect(try made.read().usableCores == 1, "a quarter of a CPU still runs one rank")
        #expect(try made.read().quota == 25)
    }

    @Test func quotasOfVersion1Count() throws {
        let made = try MadeUpMachine(cpus: 8, groups: ["4:memory:/m", "3:cpu,cpuacct:/docker/c", "1:name=systemd:/x"])
        try made.write("sys/fs/cgroup/cpu/docker/c/cpu.cfs_quota_us", "-1\n")
        try made.write("sys/fs/cgroup/cpu/docker/c/cpu.cfs_period_us", "100000\n")
        #expect(try made.read().quota == nil)
        try made.write("sys/fs/cgroup/cpu/docker/c/cpu.cfs_quota_us", "400000\n")
        let machine = try made.read()
        #expect(machine.quota == 400 && machine.usableCores == 4)
    }

    /// A set of CPUs that a control group has of its own, as Slurm and Kubernetes make it.
    @Test func aSetOfCPUsIsOwn() throws {
        let made = try MadeUpMachine(cpus: 8, mask: "2-3", groups: ["0::/job/step"])
        #expect(try !made.read().isOwn, "a mask alone does not keep others away")
        try made.write("sys/fs/cgroup/cpuset.cpus.effective", "2-3\n")
        #expect(try !made.read().isOwn, "of all groups together")
        try made.write("sys/fs/cgroup/job/cpuset.cpus.effective", "2-3\n")
        #expect(try made.read().isOwn)
        try made.write("sys/fs/cgroup/job/step/cpuset.cpus.effective", "2-7\n")
        #expect(try !made.read().isOwn, "the innermost counts, and the mask is smaller")
        let old = try MadeUpMachine(cpus: 8, mask: "5", groups: ["3:cpuset:/j"])
        try old.write("sys/fs/cgroup/cpuset/j/cpuset.cpus", "5\n")
        #expect(try old.read().isOwn)
        #expect(try MadeUpMachine(cpus: 8).read().isOwn)
    }

    /// In a container /proc names the host's path, and the mount shows the container's own group as its root.
    @Test func theRootOfTheMountCountsToo() throws {
        let made = try MadeUpMachine(cpus: 8, groups: ["0::/../host/path"])
        try made.write("sys/fs/cgroup/cpu.max", "200000 100000\n")
        try made.write("sys/fs/cgroup/memory.max", "\(1 << 30)\n")
        let machine = try made.read()
        #expect(machine.quota == 200 && machine.freeMegabytes == 1024)
    }

    @Test func memoryIsWhatTheTightestGroupLeaves() throws {
        let made = try MadeUpMachine(cpus: 8, megabytes: 30_000, groups: ["0::/a/b", "5:memory:/old"])
        try made.write("sys/fs/cgroup/a/memory.max", "\(8 << 30)\n")
        try made.write("sys/fs/cgroup/a/memory.current", "\(6 << 30)\n")
        try made.write("sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file \(1 << 30)\n")
        try made.write("sys/fs/cgroup/a/b/memory.max", "max\n")
        #expect(try made.read().freeMegabytes == 3 * 1024, "page cache is given up on demand")
        try made.write("sys/fs/cgroup/memory/old/memory.limit_in_bytes", "\(4 << 30)\n")
        try made.write("sys/fs/cgroup/memory/old/memory.usage_in_bytes", "\(3 << 30)\n")
        try made.write(
            "sys/fs/cgroup/memory/old/memory.stat", "inactive_file 7\ntotal_inactive_file \(1 << 29)\n")
        #expect(try made.read().freeMegabytes == 1536)
        try made.write("sys/fs/cgroup/memory/old/memory.limit_in_bytes", "9223372036854771712\n")
        #expect(try made.read().freeMegabytes == 3 * 1024, "version 1 writes no limit so")
    }

    @Test func aMachineThatDoesNotTellIsAnError() throws {
        let empty = try TemporaryDirectory()
        #expect(throws: TuttiError.self) { try Machine(root: empty.path) }
        let made = try MadeUpMachine(cpus: 2, mask: "")
        #expect(throws: TuttiError.self) { try made.read() }
    }

    @Test func thisMachineIsRead() throws {
        let machine = try Machine()
        #expect(machine.cores >= 1 && machine.cores <= machine.cpus.count && machine.cpus.count <= machine.onlineCPUs)
        #expect(machine.freeMegabytes > 0)
    }
}
