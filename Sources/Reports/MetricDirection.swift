// Which way a metric is better, where nobody says it.

/// Whether more of the metric `name` is better: unless it is a loss.
///
/// Reference: greater_is_better of transformers' TrainingArguments.
package func largerIsBetter(_ name: String) -> Bool { !name.hasSuffix("loss") }
