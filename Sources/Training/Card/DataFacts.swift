// What is told of the data of a run: in every model card, and in tutti_data.json for report.html. The data do not change while a
// run goes on: this is computed once.

import TuttiCorpus
import TuttiGround
import TuttiModels
import TuttiReports

/// The facts about a run's data.
struct DataFacts {
    /// As a model card lists them.
    let train, eval: [ModelCardFacts.Dataset]
    /// Examples, and the texts of the code that uses the model.
    let widget: WidgetDraw
    /// As a page lists them.
    let summaries: [DataSummary]

    /// The facts about the data of `inputs`; `notice` gets a line about what is left out.
    init(_ inputs: TrainingInputs, notice: (String) -> Void) {
        var summaries: [DataSummary] = []
        func described(_ datasets: [TrainingDataset], _ use: String) -> [ModelCardFacts.Dataset] {
            datasets.map { dataset in
                let (card, summary) = Self.facts(of: dataset, inputs, use: use, notice)
                summaries.append(summary)
                return card
            }
        }
        train = described(inputs.trainDatasets, "training")
        eval = described(inputs.evalDatasets, "evaluation")
        self.summaries = summaries
        widget = WidgetDraw(
            inputs.evalDatasets.isEmpty ? inputs.trainDatasets : inputs.evalDatasets,
            seed: inputs.arguments.dataSeed ?? inputs.arguments.seed)
    }

    private static func facts(
        of dataset: TrainingDataset, _ inputs: TrainingInputs, use: String, _ notice: (String) -> Void
    ) -> (ModelCardFacts.Dataset, DataSummary) {
        var (card, summary) = (ModelCardFacts.Dataset(), DataSummary(name: dataset.title, use: use))
        card.name = dataset.name ?? ""
        card.rowCount = dataset.stream == nil && dataset.table.rowCount > 0 ? dataset.table.rowCount : nil
        summary.rows = card.rowCount
        let loss = inputs.losses[dataset.loss].configured
        card.lossName = loss.name
        card.lossConfiguration = LossCard(loss: loss).configuration
        let statistics = DatasetStatistics(dataset, model: inputs.model, seed: inputs.arguments.seed)
        let tasks = inputs.arguments.routerMapping.tasks(dataset: dataset.name, columns: dataset.table.columnNames)
        do throws(TuttiError) {
            card.columns = try statistics.columns(tasks: tasks, into: &summary)
        } catch {
            notice("The model card has no statistics of \(dataset.title): \(error.problem).")
            card.columns = statistics.names.map { .init(name: $0) }
        }
        return (card, summary)
    }
}
