// What model and data tell a loss before the first step.

import TuttiCorpus
import TuttiModels
import TuttiObjectives

extension LossSetting {
    /// What each table tells a loss; the range of whole-number labels is that of all tables together.
    static func all(_ tables: [Table], model: SentenceEncoder) -> [LossSetting] {
        var settings = tables.map { table in
            LossSetting(
                width: model.encoder.outputWidth, layers: model.encoder.layerCount, columns: table.columnNames,
                labels: LossLabels(table.labelSummary))
        }
        let classes = settings.compactMap { setting -> ClosedRange<Int>? in
            guard case .integers(let range) = setting.labels else { return nil }
            return range
        }
        if classes.count == settings.count, let low = classes.map(\.lowerBound).min(),
            let high = classes.map(\.upperBound).max()
        {
            for place in settings.indices { settings[place].labels = .integers(low...high) }
        }
        return settings
    }
}

extension LossLabels {
    /// The labels of a table.
    init(_ summary: LabelSummary) {
        switch summary {
        case .none: self = .none
        case .integers(let range): self = .integers(range)
        case .floats(let range): self = .numbers(range)
        case .lists(let width): self = .lists(width)
        }
    }
}
