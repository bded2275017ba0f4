// What a rank learns of its machine's memory, and takes of it: the one thing that a search for a batch size depends on beside
// the run. Tests put machines of their own in its place.

import TuttiGround
import TuttiKernels

/// The memory of a rank's machine.
package struct MachineMemory: Sendable {
    /// Megabytes that are free, within the limits of control groups and of the address space; nil where the system does not say.
    package var freeMegabytes: @Sendable () -> Int?
    /// Takes so many bytes as long as so many megabytes stay free; nil where they are not to be had.
    package var take: @Sendable (_ bytes: Int, _ leaving: Int) -> TakenMemory?
    /// Processes that the kernel has killed for want of memory.
    package var kills: @Sendable () -> Int

    /// This machine's.
    package init() {
        freeMegabytes = { Self.free }
        take = { bytes, leaving in TakenMemory.take(bytes: bytes) { Self.free ?? .max >= leaving } }
        kills = { ControlGroups().memoryKills ?? 0 }
    }

    private static var free: Int? { [ControlGroups().freeMemory, AddressSpace.freeMegabytes].compactMap { $0 }.min() }
}
