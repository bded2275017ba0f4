// Topology: where the ranks run, on which CPUs, and the resulting threads.
//
// A core is divided among the ranks of its host whose masks contain it, so the count is right for bound ranks (each has
// its own cores) and for unbound ones (all share all). Hyper-threads of one core count as one.

import CTuttiMPI
import Foundation
import TuttiEnsemble

/// When gradient buckets are summed: the conductor's use of cores.
package enum CorePolicy: String, Sendable, CaseIterable {
    /// One core per rank is reserved for the conductor, which sums buckets while the main thread computes.
    case reserved
    /// All cores compute; conversations run beside the computation and sleep between two looks at the network. Buckets,
    /// which MPI sums spinning, wait as below.
    case polling
    /// All cores compute; the conductor sums buckets only while the main thread waits for them.
    case waiting

    /// From this many cores per rank, one of them is better spent on the network.
    static let coresForReserved = 8.0

    /// Its meaning, for the printed description.
    var meaning: String {
        switch self {
        case .reserved: return "sums run on a reserved core, in parallel with the computation"
        case .polling: return "sums over nodes may run beside the computation, asleep between messages"
        case .waiting: return "sums run while the computation waits"
        }
    }

    /// Whether a queued call of this kind runs while the main thread computes.
    func runs(_ kind: MPICall.Kind) -> Bool { self == .reserved || self == .polling && kind == .converse }
}

/// Whether ranks of one node may share memory.
package enum MemoryPolicy: String, Sendable, CaseIterable {
    /// One copy of parameters and optimizer state for the ranks of a node; gradients are summed in memory.
    case shared
    /// A copy per rank; gradients are sent in messages, as between nodes.
    case `private`
}

/// The location of one rank.
package struct RankPlace: Sendable, Codable, Equatable {
    /// The host name.
    package var host: String
    /// The CPUs that it may run on, ascending.
    package var cpus: [Int]
    /// The physical core of each of them: hyper-threads of one core have equal numbers.
    package var cores: [Int]
    /// The lowest rank that can share memory with this one, by MPI: it identifies their node.
    package var node: Int

    /// What tells hosts apart: two may have the same name.
    fileprivate var machine: String { "\(host) \(node)" }

    /// Creates a location.
    package init(host: String, cpus: [Int], cores: [Int], node: Int = 0) {
        self.host = host
        self.cpus = cpus
        self.cores = cores
        self.node = node
    }
}

/// The locations of all ranks and the resulting policy; equal on all ranks.
package struct Topology: Sendable, CustomStringConvertible {
    /// The location of each rank.
    package let places: [RankPlace]

    /// The MPI library and its version.
    package let library: String

    private let memory: MemoryPolicy

    /// Whether the user chose the policy.
    private var isChosen: Bool

    /// Physical cores per rank, the minimum over ranks; below 1 if ranks must share cores.
    package let coresPerRank: Double

    /// When buckets are summed.
    package let policy: CorePolicy

    /// Whether several ranks, all on one node, may share memory.
    package let sharesNode: Bool

    /// Threads that a rank should use.
    package var computeThreads: Int { max(1, Int(coresPerRank) - (policy == .reserved ? 1 : 0)) }

    /// Derives counts and policy; `chosen` overrides the policy. With shared memory no bucket is sent, and a reserved
    /// core would be idle.
    package init(
        places: [RankPlace], library: String, chosen: CorePolicy? = nil, memory: MemoryPolicy = .private
    ) {
        self.places = places
        self.library = library
        coresPerRank = Self.smallestShare(places)
        self.memory = memory
        sharesNode = memory == .shared && places.count > 1 && Set(places.map(\.node)).count == 1
        isChosen = chosen != nil
        let hasSpare = coresPerRank >= CorePolicy.coresForReserved
        let hasNodes = Set(places.map(\.node)).count > 1
        policy = chosen ?? (sharesNode ? .waiting : hasSpare ? .reserved : hasNodes ? .polling : .waiting)
    }

    /// Whether conversations run beside the computation.
    var talking: Talking {
        switch policy {
        case .reserved: .always
        case .polling: isChosen ? .always : .whenFaster
        case .waiting: .never
        }
    }

    /// The same for a subset of the ranks; the policy is decided for all.
    func part(_ ranks: [Int]) -> Topology {
        var part = Topology(places: ranks.map { places[$0] }, library: library, chosen: policy, memory: memory)
        part.isChosen = isChosen
        return part
    }

    /// The CPU to bind the conductor of `rank` to, if it has a core that no other rank may use.
    func conductorCPU(rank: Int) -> Int? {
        let place = places[rank]
        guard policy == .reserved, let last = place.cpus.last, Set(place.cores).count > 1 else { return nil }
        let isShared = places.indices.contains {
            $0 != rank && places[$0].machine == place.machine && places[$0].cpus.contains(last)
        }
        return isShared ? nil : last
    }

    /// One block: ranks, hosts, CPUs, cores, policy.
    package var description: String {
        let hosts = hostsInOrder()
        var lines = ["\(count(places.count, "rank")) on \(count(hosts.count, "host")), \(library)"]
        for (host, ranks) in hosts.prefix(8) {
            let masks = ranks.map { spans(places[$0].cpus) }
            let areEqual = Set(masks).count == 1 && ranks.count > 1
            let bound = areEqual ? "\(masks[0]), shared by all" : masks.joined(separator: " | ")
            lines.append("  \(host): rank\(ranks.count == 1 ? "" : "s") \(spans(ranks)), CPUs \(bound)")
        }
        if hosts.count > 8 { lines.append("  ... and \(hosts.count - 8) more hosts") }
        let isWhole = coresPerRank == coresPerRank.rounded()
        let cores = isWhole ? String(Int(coresPerRank)) : String(format: "%.2f", coresPerRank)
        let sums = sharesNode ? "ranks may share memory" : "core policy \(policy.rawValue): \(policy.meaning)"
        lines.append(
            "  \(cores) core\(cores == "1" ? "" : "s") and \(count(computeThreads, "compute thread")) per rank; "
                + sums)
        return lines.joined(separator: "\n")
    }

    /// The location of this process.
    static func ownPlace() -> RankPlace {
        let host = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            buffer.initialize(repeating: 0)
            guard let start = buffer.baseAddress else { return "" }
            tutti_mpi_host_name(start, Int32(buffer.count))
            return String(cString: start)
        }
        var mask = [UInt64](repeating: 0, count: 16)
        var cpus: [Int] = []
        if tutti_affinity(&mask, Int32(mask.count)) == 0 {
            cpus = (0..<mask.count * 64).filter { mask[$0 / 64] >> UInt64($0 % 64) & 1 == 1 }
        }
        return RankPlace(host: host, cpus: cpus, cores: cpus.map(physicalCore))
    }

    /// The first hyper-thread of a core identifies it; if the system does not tell, each is a core.
    private static func physicalCore(of cpu: Int) -> Int {
        let path = "/sys/devices/system/cpu/cpu\(cpu)/topology/thread_siblings_list"
        guard let bytes = FileManager.default.contents(atPath: path) else { return cpu }
        let text = String(decoding: bytes, as: UTF8.self)
        return Int(text.prefix { $0.isNumber }) ?? cpu
    }

    private static func smallestShare(_ places: [RankPlace]) -> Double {
        var users: [String: [Int: Int]] = [:]
        for place in places {
            for core in Set(place.cores) { users[place.machine, default: [:]][core, default: 0] += 1 }
        }
        let shares = places.map { place in
            Set(place.cores).reduce(0.0) { $0 + 1 / Double(users[place.machine]?[$1] ?? 1) }
        }
        // Thirds etc. add up to slightly less than an integer.
        return max(((shares.min() ?? 1) * 1e6).rounded() / 1e6, places.isEmpty ? 1 : 0)
    }

    private func hostsInOrder() -> [(host: String, ranks: [Int])] {
        var order: [String] = []
        var ranks: [String: [Int]] = [:]
        for (rank, place) in places.enumerated() {
            if ranks[place.machine] == nil { order.append(place.machine) }
            ranks[place.machine, default: []].append(rank)
        }
        return order.compactMap { machine in ranks[machine].map { (places[$0[0]].host, $0) } }
    }

    private func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    /// Ascending numbers as "0-3,6".
    private func spans(_ numbers: [Int]) -> String {
        var parts: [String] = []
        var index = 0
        while index < numbers.count {
            var end = index
            while end + 1 < numbers.count && numbers[end + 1] == numbers[end] + 1 { end += 1 }
            parts.append(end == index ? "\(numbers[index])" : "\(numbers[index])-\(numbers[end])")
            index = end + 1
        }
        return parts.isEmpty ? "unknown" : parts.joined(separator: ",")
    }
}
