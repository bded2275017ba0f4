// NodeEnsembles: a run over several nodes as rows and columns: the ranks of each node, and the ranks of equal position.
//
//                node 0   node 1   node 2
//     place 0       0        2        5       across: {0, 2, 5}
//     place 1       1        3        6               {1, 3, 6}
//     place 2                4                        {4}
//     own:        {0, 1}  {2, 3, 4} {5, 6}
//
// Nodes may have different numbers of ranks.

/// The two ensembles of a rank in addition to the whole run.
package struct NodeEnsembles {
    /// The ranks of this rank's node; `rank` is the position on the node.
    package let own: any Ensemble
    /// The ranks of the same position on all nodes that have it.
    package let across: any Ensemble
}

extension Ensemble {
    /// Splits the ranks by node, and by position on the node. Collective.
    package func splitByNode() throws -> NodeEnsembles {
        let own = try split(color: node)
        return NodeEnsembles(own: own, across: try split(color: own.rank))
    }
}
