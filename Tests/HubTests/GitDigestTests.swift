// The names of contents: SHA-1 against FIPS 180-4, git's own names against git.

import Foundation
import Testing
import TuttiHub

@Suite struct GitDigestTests {
    @Test func idsAndRevisions() {
        #expect(HubRepository.isID("org/name") && HubRepository.isID("name") && HubRepository.isID("a-b/c_d.e"))
        for wrong in ["", "/", "a/", "/a", "a/b/c", "../b", "a/..", "a b/c", ".a/b", "a--b/c", "a/b.", "a/b@c"] {
            #expect(!HubRepository.isID(wrong), "\(wrong)")
        }
        #expect(HubReference("org/name@refs/pr/1")?.revision == "refs/pr/1")
        #expect(HubReference("org/name@../main") == nil && HubReference("org/name@") == nil)
    }
}
